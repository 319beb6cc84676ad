import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from './random.ts';
import type { VmScene } from './vm-scene.ts';

/**
 * Waits for a moment in the work of the scene's driver, by seed: any within `mostMs`, or those where it hurts most.
 * @returns which
 */
export async function someMoment(scene: VmScene, random: Random, mostMs = 700): Promise<string> {
  switch (random.below(4)) {
    case 0:
      await scene.sealed();
      return 'when an epoch was sealed';
    case 1:
      await scene.says('sealed');
      return 'when its image was on its way';
    case 2:
      await scene.says('committed');
      return 'right after a commit';
    default:
      await sleep(random.below(mostMs));
      return 'at some moment';
  }
}
