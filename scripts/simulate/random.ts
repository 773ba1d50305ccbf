/** Chance from a seed: the simulator's only source of it, so that a run can be repeated. */

export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** In [0, 1). Mulberry32. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  between(from: number, to: number): number {
    return from + this.next() * (to - from);
  }

  /** Every octave between the two is as likely as any other. */
  betweenOctaves(from: number, to: number): number {
    return from * (to / from) ** this.next();
  }

  below(count: number): number {
    return Math.floor(this.next() * count);
  }

  /** `share` of `count` as a whole number that is right on average. */
  countOf(share: number, count: number): number {
    return Math.floor(share * count + this.next());
  }

  shuffled<T>(items: readonly T[]): T[] {
    return items
      .map((item) => ({ item, weight: this.next() }))
      .sort((one, other) => one.weight - other.weight)
      .map(({ item }) => item);
  }
}
