import { copyFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StateDir } from '../../gateway/durable/state-dir.ts';
import type { VmStore } from '../../gateway/durable/vm-store.ts';
import { type FrameSpec, makeFrame } from './frames.ts';
import type { ModelOptions } from './model.ts';
import { hex, ROOMY, Scene } from './rig.ts';

const START_MS = Date.parse('2026-01-01T00:00:00Z');

/** A gateway's state folder, and one life of a gateway after another in it. Close it in any case. */
export class StateFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'holdfast-state-'));
  #dir: StateDir | null = null;
  #lives = 0;
  readonly #known = new Map<string, number>();

  /**
   * The gateway that was alive, if one was, ends as a killed one does: with what is in its files. Another one begins.
   */
  live(options: Partial<ModelOptions> = {}, buffer: 'file' | 'memory' = 'file'): Life {
    this.die();
    this.#lives++;
    this.#dir = new StateDir(this.path, () => START_MS + this.#lives * 1000);
    const store = this.#dir.openVm('vm0', buffer);
    return { store, scene: new Scene({ ...ROOMY, ruleSet: 0, ...options, store: () => store }) };
  }

  /** The VM sends frames that the rules hold, and the gateway reads them. */
  hold({ scene }: Life, serials: readonly number[], spec: Partial<FrameSpec> = {}): void {
    for (const serial of serials) {
      const how = { kind: 'tcp', flow: 0, colour: 1, vlan: 0, pad: 0, ...spec } as const;
      this.#known.set(hex(makeFrame(how, serial).bytes), serial);
      scene.send(serial, how);
    }
  }

  /** @returns numbers of the frames that reached the network since the last call, in order */
  left({ scene }: Life, most?: number): number[] {
    return scene.rig.net.take(most).map((bytes) => {
      const serial = this.#known.get(bytes);
      if (serial === undefined) throw new Error(`nobody sent ${bytes}`);
      return serial;
    });
  }

  die(): void {
    this.#dir?.close();
    this.#dir = null;
  }

  /** @returns names of its files */
  get names(): string[] {
    return readdirSync(this.path).sort();
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /** Keeps what the files say now. */
  snap(): Snap {
    const path = mkdtempSync(join(tmpdir(), 'holdfast-snap-'));
    for (const name of this.names) copyFileSync(this.file(name), join(path, name));
    return { path, forget: () => rmSync(path, { recursive: true, force: true }) };
  }

  /** The gateway ends, and the files of `kinds` are as they were. */
  restore(snap: Snap, ...names: readonly string[]): void {
    this.die();
    for (const name of names) copyFileSync(join(snap.path, name), this.file(name));
  }

  close(): void {
    this.die();
    rmSync(this.path, { recursive: true, force: true });
  }
}

export interface Snap {
  readonly path: string;
  readonly forget: () => void;
}

export interface Life {
  readonly store: VmStore;
  readonly scene: Scene;
}
