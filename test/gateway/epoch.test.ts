import { describe, expect, test } from 'vitest';
import { Epochs, StateError } from '../../gateway/epoch.ts';

/** Term 1 with epochs 1..n sealed. */
function sealedTo(n: number): Epochs {
  const epochs = new Epochs('off');
  epochs.start('now');
  for (let e = 1; e <= n; e++) epochs.seal(1, e);
  return epochs;
}

function refusal(request: () => unknown): { code: string; message: string; name: string } {
  try {
    request();
  } catch (error) {
    expect(error).toBeInstanceOf(StateError);
    const { code, message, name } = error as StateError;
    return { code, message, name };
  }
  throw new Error('nothing was refused');
}

/** All that a request may change. */
function stateOf(epochs: Epochs) {
  const { state, term, openEpoch, committedEpoch, sealedEpochs, beforeFirstSeal } = epochs;
  return { state, term, openEpoch, committedEpoch, sealedEpochs: [...sealedEpochs], beforeFirstSeal };
}

/** The request is refused with this code and these words, and changes nothing. */
function expectRefused(epochs: Epochs, code: string, words: string, request: () => unknown): void {
  const before = stateOf(epochs);
  expect(refusal(request)).toEqual({ code, message: words, name: 'StateError' });
  expect(stateOf(epochs)).toEqual(before);
}

describe('terms', () => {
  test('before the first start there is no term and every request is refused', () => {
    for (const state of ['off', 'waiting'] as const) {
      const epochs = new Epochs(state);
      expect(stateOf(epochs)).toEqual({
        state,
        term: 0,
        openEpoch: 1,
        committedEpoch: 0,
        sealedEpochs: [],
        beforeFirstSeal: false,
      });
      const words = `no term is in force: the VM is ${state}`;
      for (const what of ['checkSeal', 'seal', 'commit', 'abort', 'rollback'] as const) {
        expectRefused(epochs, 'not-replicated', words, () => epochs[what](0, 1));
      }
      if (state === 'off') expectRefused(epochs, 'not-replicated', words, () => epochs.stop(0, 'off'));
    }
  });

  test('the waiting for a host ends when its operator says so, of the last term and no other', () => {
    const epochs = new Epochs('waiting', 4);
    for (const term of [3, 5]) {
      expectRefused(epochs, 'stale-term', `term ${term} is not in force: 4 is`, () => epochs.stop(term, 'off'));
    }
    epochs.stop(4, 'waiting');
    expect(epochs.state).toBe('waiting');
    epochs.stop(4, 'off');
    expect(epochs.state).toBe('off');
  });

  test('a start opens epoch 1 of the next term', () => {
    const epochs = sealedTo(2);
    epochs.commit(1, 1);
    epochs.abort(1, 2);
    epochs.start('now');
    expect(stateOf(epochs)).toEqual({
      state: 'on',
      term: 2,
      openEpoch: 1,
      committedEpoch: 0,
      sealedEpochs: [],
      beforeFirstSeal: false,
    });
    epochs.seal(2, 1);
    epochs.seal(2, 2);
    expect(epochs.commit(2, 2)).toBe(true);
  });

  test('a request of another term is refused, older or newer', () => {
    const epochs = sealedTo(2);
    for (const term of [0, 2]) {
      const words = `term ${term} is not in force: 1 is`;
      for (const what of ['checkSeal', 'seal', 'commit', 'abort', 'rollback'] as const) {
        expectRefused(epochs, 'stale-term', words, () => epochs[what](term, 2));
      }
      expectRefused(epochs, 'stale-term', words, () => epochs.stop(term, 'off'));
    }
  });

  test('a stop ends the term and forgets its epochs', () => {
    for (const next of ['off', 'waiting'] as const) {
      const epochs = sealedTo(3);
      epochs.commit(1, 1);
      epochs.abort(1, 3);
      epochs.stop(1, next);
      expect(stateOf(epochs)).toEqual({
        state: next,
        term: 1,
        openEpoch: 1,
        committedEpoch: 0,
        sealedEpochs: [],
        beforeFirstSeal: false,
      });
      epochs.start('now');
      expect(epochs.term).toBe(2);
      for (const e of [1, 2, 3]) epochs.seal(2, e);
      expect(epochs.commit(2, 3)).toBe(true);
    }
  });

  test('output passes until the first seal where the start says so, and after a stop no more', () => {
    const epochs = new Epochs('off');
    epochs.start('first-seal');
    expect(epochs.beforeFirstSeal).toBe(true);
    epochs.seal(1, 1);
    expect(epochs.beforeFirstSeal).toBe(false);
    epochs.start('first-seal');
    epochs.stop(2, 'waiting');
    expect(epochs.beforeFirstSeal).toBe(false);
    epochs.start('first-seal');
    epochs.start('now');
    expect(epochs.beforeFirstSeal).toBe(false);
  });
});

describe('seal', () => {
  test('closes the open epoch and opens the next', () => {
    const epochs = sealedTo(3);
    expect(epochs.openEpoch).toBe(4);
    expect(epochs.sealedEpochs).toEqual([1, 2, 3]);
    expect(() => epochs.checkSeal(1, 4)).not.toThrow();
    expect(epochs.openEpoch).toBe(4);
  });

  test('of an epoch that is not open yet, or never was, is refused', () => {
    const epochs = sealedTo(3);
    for (const e of [5, 0, -1]) {
      for (const what of ['checkSeal', 'seal'] as const) {
        expectRefused(epochs, 'epoch-not-open', `epoch ${e} is not open: 4 is`, () => epochs[what](1, e));
      }
    }
  });

  test('once more is refused, sealed or committed', () => {
    const epochs = sealedTo(3);
    epochs.commit(1, 1);
    for (const e of [1, 3]) {
      expectRefused(epochs, 'epoch-sealed', `epoch ${e} is sealed already; 4 is open`, () => epochs.seal(1, e));
    }
  });

  test('of an aborted epoch is refused as sealed', () => {
    const epochs = sealedTo(2);
    epochs.abort(1, 2);
    expectRefused(epochs, 'epoch-sealed', 'epoch 2 is sealed already; 3 is open', () => epochs.seal(1, 2));
  });

  test('of something that is no number is refused, as is every other request', () => {
    const epochs = sealedTo(2);
    for (const odd of [Number.NaN, 1.5, Number.POSITIVE_INFINITY]) {
      expect(() => epochs.seal(1, odd)).toThrow(StateError);
      expect(() => epochs.commit(1, odd)).toThrow(StateError);
      expect(() => epochs.abort(1, odd)).toThrow(StateError);
      expect(() => epochs.rollback(1, odd)).toThrow(StateError);
    }
    expect([epochs.term, epochs.openEpoch, epochs.committedEpoch, epochs.sealedEpochs]).toEqual([1, 3, 0, [1, 2]]);
  });
});

describe('commit', () => {
  test('commits every earlier epoch too, and leaves later ones in flight', () => {
    const epochs = sealedTo(5);
    expect(epochs.commit(1, 3)).toBe(true);
    expect(epochs.committedEpoch).toBe(3);
    expect(epochs.sealedEpochs).toEqual([4, 5]);
  });

  test('repeated, or of one that a later commit covered, is no news', () => {
    const epochs = sealedTo(3);
    epochs.commit(1, 2);
    const before = stateOf(epochs);
    expect(epochs.commit(1, 2)).toBe(false);
    expect(epochs.commit(1, 1)).toBe(false);
    expect(stateOf(epochs)).toEqual(before);
  });

  test('of the open epoch, a later one, or none at all, is refused', () => {
    const epochs = sealedTo(2);
    epochs.commit(1, 1);
    for (const e of [3, 4, 0, -1]) {
      expectRefused(epochs, 'epoch-not-sealed', `epoch ${e} is not sealed; 3 is open`, () => epochs.commit(1, e));
    }
  });

  test('of an aborted epoch is refused, also after a later commit passed it', () => {
    const epochs = sealedTo(3);
    epochs.abort(1, 2);
    expectRefused(epochs, 'epoch-aborted', 'epoch 2 was aborted', () => epochs.commit(1, 2));
    epochs.commit(1, 3);
    expectRefused(epochs, 'epoch-aborted', 'epoch 2 was aborted', () => epochs.commit(1, 2));
  });
});

describe('abort', () => {
  test('takes the epoch out of flight and says which labels move', () => {
    const epochs = sealedTo(4);
    expect(epochs.abort(1, 2)).toBe(2);
    expect(epochs.sealedEpochs).toEqual([1, 3, 4]);
    expect(epochs.abort(1, 3)).toBe(2);
    expect(epochs.abort(1, 1)).toBe(1);
    expect(epochs.sealedEpochs).toEqual([4]);
    expect(epochs.abort(1, 4)).toBe(1);
    expect(epochs.openEpoch).toBe(5);
  });

  test('an epoch aborted after its successor moves alone', () => {
    const epochs = sealedTo(3);
    expect(epochs.abort(1, 3)).toBe(3);
    expect(epochs.abort(1, 2)).toBe(2);
  });

  test('labels that a commit released do not move', () => {
    const epochs = sealedTo(4);
    epochs.abort(1, 1);
    epochs.abort(1, 2);
    epochs.commit(1, 3);
    expect(epochs.abort(1, 4)).toBe(4);
    const next = sealedTo(3);
    next.abort(1, 1);
    next.commit(1, 2);
    expect(next.abort(1, 3)).toBe(3);
    const last = new Epochs('off');
    last.start('now');
    expect(last.rollback(1, 0)).toBe(false);
  });

  test('of a committed epoch is refused: its frames have left', () => {
    const epochs = sealedTo(3);
    epochs.commit(1, 2);
    for (const e of [1, 2]) {
      const words = `epoch ${e} is committed: its frames have left`;
      expectRefused(epochs, 'output-already-released', words, () => epochs.abort(1, e));
    }
  });

  test('twice is refused', () => {
    const epochs = sealedTo(2);
    epochs.abort(1, 1);
    expectRefused(epochs, 'epoch-aborted', 'epoch 1 was aborted', () => epochs.abort(1, 1));
  });

  test('of the open epoch, a later one, or none at all, is refused', () => {
    const epochs = sealedTo(2);
    for (const e of [3, 4, 0, -1]) {
      expectRefused(epochs, 'epoch-not-sealed', `epoch ${e} is not sealed; 3 is open`, () => epochs.abort(1, e));
    }
  });

  test('4096 aborted epochs are remembered; an older one stays out of flight', () => {
    const epochs = sealedTo(4098);
    for (let e = 1; e <= 4096; e++) epochs.abort(1, e);
    expectRefused(epochs, 'epoch-aborted', 'epoch 1 was aborted', () => epochs.commit(1, 1));
    epochs.abort(1, 4097);
    expectRefused(epochs, 'epoch-not-sealed', 'epoch 1 is not sealed; 4099 is open', () => epochs.commit(1, 1));
    expectRefused(epochs, 'epoch-aborted', 'epoch 2 was aborted', () => epochs.commit(1, 2));
    expect(epochs.commit(1, 4098)).toBe(true);
    expect(epochs.commit(1, 1)).toBe(false);
  });
});

describe('rollback', () => {
  test('to the committed epoch begins a term whose epochs go on counting', () => {
    const epochs = sealedTo(3);
    epochs.commit(1, 1);
    expect(epochs.rollback(1, 1)).toBe(false);
    expect(stateOf(epochs)).toEqual({
      state: 'on',
      term: 2,
      openEpoch: 5,
      committedEpoch: 1,
      sealedEpochs: [],
      beforeFirstSeal: false,
    });
  });

  test('to a sealed epoch commits it', () => {
    const epochs = sealedTo(3);
    expect(epochs.rollback(1, 2)).toBe(true);
    expect(epochs.committedEpoch).toBe(2);
    expect(epochs.sealedEpochs).toEqual([]);
    expect([epochs.term, epochs.openEpoch]).toEqual([2, 5]);
  });

  test('to before the first commit is possible: nothing has left', () => {
    const epochs = sealedTo(1);
    expect(epochs.rollback(1, 0)).toBe(false);
    expect([epochs.term, epochs.openEpoch, epochs.committedEpoch]).toEqual([2, 3, 0]);
  });

  test('below the committed epoch is refused', () => {
    const epochs = sealedTo(3);
    epochs.commit(1, 2);
    for (const e of [1, 0, -1]) {
      const words = `output beyond epoch ${e} has left: no way back to it`;
      expectRefused(epochs, 'output-already-released', words, () => epochs.rollback(1, e));
    }
  });

  test('to the start of a term whose first output passed is refused, before the first seal and after it', () => {
    const epochs = new Epochs('off');
    epochs.start('first-seal');
    const words = 'output beyond epoch 0 has left: no way back to it';
    expectRefused(epochs, 'output-already-released', words, () => epochs.rollback(1, 0));
    epochs.seal(1, 1);
    expectRefused(epochs, 'output-already-released', words, () => epochs.rollback(1, 0));
    expect(epochs.rollback(1, 1)).toBe(true);
    epochs.start('now');
    expect(epochs.rollback(3, 0)).toBe(false);
  });

  test('to the open epoch or a later one is refused', () => {
    const epochs = sealedTo(2);
    for (const e of [3, 4]) {
      expectRefused(epochs, 'epoch-not-sealed', `epoch ${e} is not sealed; 3 is open`, () => epochs.rollback(1, e));
    }
  });

  test('to an aborted epoch is refused as aborted, also when a later one is committed', () => {
    const epochs = sealedTo(3);
    epochs.abort(1, 2);
    expectRefused(epochs, 'epoch-aborted', 'epoch 2 was aborted', () => epochs.rollback(1, 2));
    epochs.commit(1, 3);
    expectRefused(epochs, 'epoch-aborted', 'epoch 2 was aborted', () => epochs.rollback(1, 2));
  });

  test('epochs of the term before it are neither open, nor sealed, nor aborted any more', () => {
    const epochs = sealedTo(5);
    epochs.commit(1, 2);
    epochs.abort(1, 4);
    epochs.rollback(1, 3);
    expect(epochs.openEpoch).toBe(7);
    for (const e of [4, 5, 6]) {
      expectRefused(epochs, 'epoch-not-open', `epoch ${e} is not open: 7 is`, () => epochs.seal(2, e));
      for (const what of ['commit', 'abort', 'rollback'] as const) {
        expectRefused(epochs, 'epoch-not-sealed', `epoch ${e} is not sealed; 7 is open`, () => epochs[what](2, e));
      }
    }
    expect(epochs.commit(2, 3)).toBe(false);
    epochs.seal(2, 7);
    expectRefused(epochs, 'epoch-sealed', 'epoch 7 is sealed already; 8 is open', () => epochs.seal(2, 7));
    expect(epochs.abort(2, 7)).toBe(7);
  });

  test('a number that was aborted before it says nothing of the new term', () => {
    const epochs = sealedTo(2);
    epochs.abort(1, 2);
    epochs.rollback(1, 1);
    epochs.seal(2, 4);
    // Labels move down to the first epoch of the term, never into the one before.
    expect(epochs.abort(2, 4)).toBe(4);
  });
});

describe('sealRun', () => {
  test('seals any number of epochs in one step, and a commit of the last commits them all', () => {
    const epochs = sealedTo(2);
    epochs.commit(1, 1);
    expect(epochs.sealRun(1, 10)).toBe(12);
    expect(stateOf(epochs)).toMatchObject({ openEpoch: 13, committedEpoch: 1, sealedEpochs: [2, 12], term: 1 });
    expect(epochs.commit(1, 2)).toBe(true);
    expectRefused(epochs, 'epoch-not-sealed', 'epoch 5 is not sealed; 13 is open', () => epochs.commit(1, 5));
    expect(epochs.commit(1, 12)).toBe(true);
    epochs.seal(1, 13);
    expect(epochs.commit(1, 13)).toBe(true);
  });

  test('ends the time before the first seal', () => {
    const epochs = new Epochs('off');
    epochs.start('first-seal');
    epochs.sealRun(1, 1);
    expect(stateOf(epochs)).toMatchObject({ openEpoch: 2, sealedEpochs: [1], beforeFirstSeal: false });
  });

  test('of a stale term is refused', () => {
    const epochs = sealedTo(1);
    expectRefused(epochs, 'stale-term', 'term 2 is not in force: 1 is', () => epochs.sealRun(2, 1));
  });
});

describe('abandon', () => {
  test('begins a term in which nothing of the one before is sealed, aborted or open', () => {
    const epochs = sealedTo(4);
    epochs.commit(1, 1);
    epochs.abort(1, 3);
    epochs.abandon();
    expect(stateOf(epochs)).toMatchObject({ state: 'on', term: 2, openEpoch: 6, committedEpoch: 1, sealedEpochs: [] });
    for (const e of [2, 3, 4, 5]) {
      expectRefused(epochs, 'epoch-not-open', `epoch ${e} is not open: 6 is`, () => epochs.seal(2, e));
      expectRefused(epochs, 'epoch-not-sealed', `epoch ${e} is not sealed; 6 is open`, () => epochs.commit(2, e));
    }
  });

  test('changes nothing where no term is in force', () => {
    for (const state of ['off', 'waiting'] as const) {
      const epochs = new Epochs(state);
      epochs.abandon();
      expect(stateOf(epochs)).toMatchObject({ state, term: 0, openEpoch: 1, committedEpoch: 0 });
    }
  });
});

describe('takeOver', () => {
  test('begins the next term behind the checkpoint that the standby has', () => {
    const epochs = new Epochs('waiting');
    epochs.takeOver(7, 3);
    expect(stateOf(epochs)).toEqual({
      state: 'on',
      term: 8,
      openEpoch: 4,
      committedEpoch: 3,
      sealedEpochs: [],
      beforeFirstSeal: false,
    });
    expect(epochs.commit(8, 3)).toBe(false);
    expectRefused(epochs, 'epoch-not-open', 'epoch 3 is not open: 4 is', () => epochs.seal(8, 3));
    expect(epochs.rollback(8, 3)).toBe(false);
    expect([epochs.term, epochs.openEpoch]).toEqual([9, 5]);
  });

  test('forgets what an earlier term passed before its first seal', () => {
    const epochs = new Epochs('off');
    epochs.start('first-seal');
    epochs.stop(1, 'waiting');
    epochs.takeOver(1, 1);
    expect(epochs.beforeFirstSeal).toBe(false);
    const words = 'output beyond epoch 0 has left: no way back to it';
    expectRefused(epochs, 'output-already-released', words, () => epochs.rollback(2, 0));
  });

  test('is refused while a term is in force here, and for a term older than the last one', () => {
    const epochs = sealedTo(2);
    const inForce = 'term 1 is in force here: there is nothing to take over';
    for (const term of [0, 1, 9]) expectRefused(epochs, 'stale-term', inForce, () => epochs.takeOver(term, 1));
    epochs.rollback(1, 1);
    epochs.stop(2, 'off');
    expectRefused(epochs, 'stale-term', 'term 1 is older than 2, the last one here', () => epochs.takeOver(1, 1));
    epochs.takeOver(2, 1);
    expect(epochs.term).toBe(3);
  });
});

describe('what a request would answer', () => {
  test('can be asked for a rollback without doing it', () => {
    const epochs = sealedTo(2);
    epochs.commit(1, 1);
    expect([epochs.checkRollback(1, 1), epochs.checkRollback(1, 2)]).toEqual([false, true]);
    expectRefused(epochs, 'epoch-not-sealed', 'epoch 3 is not sealed; 3 is open', () => epochs.checkRollback(1, 3));
    expect([epochs.term, epochs.committedEpoch]).toEqual([1, 1]);
  });

  test('can be asked for a term', () => {
    const epochs = sealedTo(1);
    epochs.check(1);
    expectRefused(epochs, 'stale-term', 'term 0 is not in force: 1 is', () => epochs.check(0));
  });
});

test('terms go on from the last one that an earlier process knew', () => {
  const epochs = new Epochs('waiting', 41);
  expectRefused(epochs, 'not-replicated', 'no term is in force: the VM is waiting', () => epochs.commit(41, 1));
  epochs.start('now');
  expect(epochs.term).toBe(42);
});
