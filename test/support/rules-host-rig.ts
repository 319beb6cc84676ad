import type { HostClient } from '../../gateway/host/client.ts';
import type { LiveRules } from '../../gateway/live-rules/live-rules.ts';
import { HostRig } from './host-rig.ts';
import { LiveRulesRig } from './live-rules-rig.ts';
import { Scene } from './rig.ts';

/** A gateway with memory ports and a control socket whose VM's rules can be changed. */
export class RulesHostRig extends LiveRulesRig {
  scene!: Scene;
  rules!: LiveRules;
  host!: HostClient;
  rig!: HostRig;

  /** @param text of the rule file */
  async begin(text: string): Promise<this> {
    this.write('vm.rules', text);
    this.rules = await this.open();
    this.scene = new Scene({}, this.rules.generation);
    this.rules.attach(this.scene.vm);
    const clockOrigin = { seconds: 1_790_000_000, nanoseconds: 0 };
    this.rig = await new HostRig(this.scene, { rules: new Map([['vm0', this.rules]]), clockOrigin }).listen();
    this.host = this.rig.client();
    return this;
  }

  override async close(): Promise<void> {
    await this.rig.close();
    await super.close();
  }
}
