import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import type { CountingClient } from './counting-client.ts';
import { bootedGuest, noGuestReason } from './guest.ts';
import { noNetnsReason } from './netns.ts';
import { VmScene, type VmSceneOptions } from './vm-scene.ts';

const MINUTE_MS = 60_000;

/**
 * What tests of a VM begin and end with: they are skipped where no guest can be run, and each has a scene that ends with it; or that the next
 * one of the same options goes on with, for booting and starting everything takes seconds.
 */
export class VmTest {
  scene!: VmScene;
  client: CountingClient | null = null;
  /** Of the scene that there is; null: there is none. */
  #options: string | null = null;
  #isKept = false;

  /** @param programs that are needed besides QEMU's */
  constructor(...programs: readonly string[]) {
    let reason: string | null = null;
    beforeAll(async () => {
      reason = noNetnsReason('sysctl', ...programs) ?? noGuestReason();
      // No test's time is for fetching and booting the guest: it is kept.
      if (reason === null) await bootedGuest();
    }, 8 * MINUTE_MS);
    beforeEach(({ skip }) => {
      skip(reason !== null, reason ?? '');
      this.#isKept = false;
    });
    afterEach(async () => {
      this.client?.close();
      this.client = null;
      if (!this.#isKept) await this.end();
    }, MINUTE_MS);
    afterAll(() => this.end(), MINUTE_MS);
  }

  /**
   * A VM that runs, its standby waiting, and nobody who protects it. In which place and term it is, the scene knows.
   * @param vlan that the guest's addresses are in
   */
  async started(options: VmSceneOptions, vlan: number | null = null): Promise<VmScene> {
    const wanted = JSON.stringify([options, vlan]);
    if (this.#options === wanted) return this.scene;
    await this.end();
    this.scene = new VmScene(options);
    this.#options = wanted;
    await this.scene.start(await bootedGuest(0, vlan));
    return this.scene;
  }

  /** A client that counts, and asks from now on. */
  async counting(): Promise<CountingClient> {
    this.client?.close();
    this.client = await this.scene.counting();
    this.client.start();
    return this.client;
  }

  /** Of the scene, where there is one; the next one is new. */
  async end(): Promise<void> {
    if (this.#options === null) return;
    this.#options = null;
    await this.scene.delete();
  }

  /** All went well: the next test goes on with this scene, which is as `started` says once its drivers are gone. */
  async keep(): Promise<void> {
    this.client?.close();
    await this.scene.unprotect();
    this.#isKept = true;
  }
}
