import type { Life, StateFolder } from '../../support/state-folder.ts';

/** A life in term 1: frames 1 to 3 in epoch 1, sealed; 4 to 6 in epoch 2, sealed; 7 and 8 in epoch 3, open. */
export function threeEpochs(folder: StateFolder, options: Parameters<StateFolder['live']>[0] = {}): Life {
  const life = folder.live(options);
  life.scene.vm.start('now', 5e9);
  folder.hold(life, [1, 2, 3]);
  life.scene.vm.seal(1, 1);
  folder.hold(life, [4, 5, 6]);
  life.scene.vm.seal(1, 2);
  folder.hold(life, [7, 8]);
  return life;
}

/** What can be seen of a VM after a recovery. */
export function summary({ scene: { vm } }: Life) {
  const { state, term, openEpoch, sealedEpochs, committedEpoch } = vm.epochs;
  return { state, term, openEpoch, sealedEpochs, committedEpoch, frames: vm.txBuffer.frames };
}
