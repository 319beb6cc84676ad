import { ExtentMap, GAP, type VisitExtent } from './extent-map.ts';

/** Of `Layers.visit`: these bytes are in the image. */
export const IN_IMAGE = GAP;

/** Writes that share a fate. */
export class Layer {
  map = new ExtentMap();
  /** The oldest place in the log that is still needed for these writes; Infinity where there are none. */
  oldest = Number.POSITIVE_INFINITY;

  /** Lays the writes of a younger layer over these. The other one is used up. */
  absorb(younger: Layer): void {
    this.oldest = Math.min(this.oldest, younger.oldest);
    if (younger.map.size <= this.map.size) {
      younger.map.forEach((from, to, at) => {
        this.map.set(from, to, at);
      });
      return;
    }
    const [older, upper] = [this.map, younger.map];
    older.forEach((from, to, at) => {
      const seen: [number, number][] = [];
      upper.visit(from, to, (gapFrom, gapTo, what) => {
        if (what === GAP) seen.push([gapFrom, gapTo]);
      });
      for (const [gapFrom, gapTo] of seen) upper.set(gapFrom, gapTo, at < 0 ? at : at + (gapFrom - from));
    });
    this.map = upper;
  }
}

/**
 * What lies over the image, from the oldest to the youngest: what is on its way into it, what is committed, an epoch for each seal, what
 * was written since. Knows where bytes are, not what they are. The same calls, live and from the log, lead to the same layers.
 */
export class Layers {
  #flushing: Layer | null = null;
  #committed = new Layer();
  #sealed: { readonly epoch: number; readonly layer: Layer }[] = [];
  /** null while no term is in force: then every write counts as committed. */
  #open: Layer | null = null;

  /** @param sealed epochs that are sealed already and of which nothing is left in the log; null: no term is in force */
  constructor(sealed: readonly number[] | null) {
    if (sealed === null) return;
    this.#open = new Layer();
    this.#sealed = sealed.map((epoch) => ({ epoch, layer: new Layer() }));
  }

  /** Extents of all layers together: what the index costs. */
  get size(): number {
    return this.#all().reduce((sum, layer) => sum + layer.map.size, 0);
  }

  /** Committed writes that no flush has taken yet. */
  get unflushed(): number {
    return this.#committed.map.size;
  }

  get isFlushing(): boolean {
    return this.#flushing !== null;
  }

  /** The oldest place in the log that is needed; Infinity where none is. */
  get oldest(): number {
    return Math.min(...this.#all().map((layer) => layer.oldest));
  }

  /** @param record where the record begins in the log that tells of the write */
  write(from: number, to: number, at: number, record: number): void {
    const layer = this.#open ?? this.#committed;
    layer.map.set(from, to, at);
    layer.oldest = Math.min(layer.oldest, record);
  }

  /** A term begins. Of one that was in force, nothing becomes committed. */
  start(): void {
    const young = this.#takeYoung(Number.POSITIVE_INFINITY);
    if (this.#open !== null) young.absorb(this.#open);
    this.#open = young;
  }

  seal(epoch: number): void {
    this.#sealed.push({ epoch, layer: this.#open ?? new Layer() });
    this.#open = new Layer();
  }

  /** What the epoch wrote belongs to the next one. */
  abort(epoch: number): void {
    const index = this.#sealed.findIndex((sealed) => sealed.epoch === epoch);
    const { layer } = this.#sealed[index]!;
    const next = this.#sealed[index + 1];
    if (next === undefined) {
      layer.absorb(this.#open!);
      this.#open = layer;
    } else {
      layer.absorb(next.layer);
      this.#sealed[index + 1] = { epoch: next.epoch, layer };
    }
    this.#sealed.splice(index, 1);
  }

  /** What is sealed up to `epoch` will go into the image. */
  commit(epoch: number): void {
    this.#committed.absorb(this.#takeYoung(epoch));
  }

  /** What is not committed is gone. */
  discard(): void {
    this.#sealed = [];
    this.#open = new Layer();
  }

  /** No term is in force any more; all that was written stays. */
  stop(): void {
    this.commit(Number.POSITIVE_INFINITY);
    if (this.#open !== null) this.#committed.absorb(this.#open);
    this.#open = null;
  }

  /** @returns what is to be written to the image, as before where that did not end; null where nothing is. `flushed` ends it */
  beginFlush(): ExtentMap | null {
    if (this.#flushing === null && this.#committed.map.size > 0) {
      this.#flushing = this.#committed;
      this.#committed = new Layer();
    }
    return this.#flushing?.map ?? null;
  }

  /** What `beginFlush` gave is in the image for good. */
  flushed(): void {
    this.#flushing = null;
  }

  /** Calls back for pieces in order: where the youngest bytes are. */
  visit(from: number, to: number, each: VisitExtent): void {
    descend(this.#all(), 0, from, to, each);
  }

  /** Takes sealed epochs up to `epoch` away, as one layer. */
  #takeYoung(epoch: number): Layer {
    const taken = new Layer();
    for (const { layer } of this.#sealed.filter((sealed) => sealed.epoch <= epoch)) taken.absorb(layer);
    this.#sealed = this.#sealed.filter((sealed) => sealed.epoch > epoch);
    return taken;
  }

  /** From the youngest to the oldest. */
  #all(): Layer[] {
    const layers = [this.#committed, ...this.#sealed.map(({ layer }) => layer)];
    if (this.#flushing !== null) layers.unshift(this.#flushing);
    if (this.#open !== null) layers.push(this.#open);
    return layers.reverse();
  }
}

function descend(layers: readonly Layer[], depth: number, from: number, to: number, each: VisitExtent): void {
  const layer = layers[depth];
  if (layer === undefined) {
    each(from, to, IN_IMAGE);
    return;
  }
  layer.map.visit(from, to, (pieceFrom, pieceTo, at) => {
    if (at === GAP) descend(layers, depth + 1, pieceFrom, pieceTo, each);
    else each(pieceFrom, pieceTo, at);
  });
}
