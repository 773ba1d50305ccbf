/** What a node lacks of a package: which fragments it may fetch, from the site only or also under a lease. */
import { Bitmap } from "../../../protocol/bitmap.ts";

/** So few are looked for one by one; more are found by chance. */
const FEW_COUNT = 32;
/** Leases are shuffled inside this window, so that holders ask for different fragments. */
export const LEASE_WINDOW = 128;
/** Of so many the large ones go first: what comes last is small, and soon everywhere. */
const LAST_COUNT = 64;

/** Wire bytes by swarm index; 0 as long as an index page is on its way. */
export type FragmentSizes = ArrayLike<number>;

export class WantedFragments {
  /** Known, not here, and not for the LAN only. */
  readonly missing: Bitmap;
  private readonly have: Bitmap;
  private readonly sizes: FragmentSizes;
  private readonly known: Bitmap;
  private readonly lanOnly: Bitmap;
  /** Known and not here. */
  private readonly wanted: Bitmap;
  /** A part of these is here. */
  private readonly begun = new Set<number>();
  private lowestMissing = 0;
  private listed: readonly number[] | undefined;

  constructor(have: Bitmap, sizes: FragmentSizes) {
    this.have = have;
    this.sizes = sizes;
    this.missing = new Bitmap(have.size);
    this.known = new Bitmap(have.size);
    this.lanOnly = new Bitmap(have.size);
    this.wanted = new Bitmap(have.size);
  }

  isKnown(index: number): boolean {
    return this.known.has(index);
  }

  /** Its digest is known from now on. */
  knows(index: number, isLanOnly: boolean): void {
    this.known.add(index);
    if (isLanOnly) this.lanOnly.add(index);
    else this.lanOnly.delete(index);
    this.follow(index);
  }

  /** A part of it came over the line before its transfer broke. */
  hasBegun(index: number): void {
    if (!this.have.has(index)) this.begun.add(index);
  }

  /** It came, or is gone again. */
  follow(index: number): void {
    if (this.have.has(index)) this.begun.delete(index);
    else this.lowestMissing = Math.min(this.lowestMissing, index);
    const isWanted = this.known.has(index) && !this.have.has(index);
    if (isWanted ? this.wanted.add(index) : this.wanted.delete(index)) this.listed = undefined;
    if (isWanted && !this.lanOnly.has(index)) this.missing.add(index);
    else this.missing.delete(index);
  }

  /**
   * Missing ones: what has begun first, then nearly in sequence, shifted by `shift` inside each window; the last by
   * their size.
   */
  *inLeaseOrder(shift: number): Generator<number> {
    for (const index of this.begun) if (this.missing.has(index)) yield index;
    const rest = this.inWindows(shift);
    const bySize = (one: number, other: number): number => this.sizeOf(other) - this.sizeOf(one);
    yield* this.missing.count > LAST_COUNT ? rest : [...rest].toSorted(bySize);
  }

  private sizeOf(index: number): number {
    return this.sizes[index] ?? 0;
  }

  private *inWindows(shift: number): Generator<number> {
    const { size } = this.have;
    while (this.lowestMissing < size && this.have.has(this.lowestMissing)) this.lowestMissing++;
    const first = this.lowestMissing - (this.lowestMissing % LEASE_WINDOW);
    for (let start = first; start < size; start += LEASE_WINDOW) {
      const length = Math.min(LEASE_WINDOW, size - start);
      for (let offset = 0; offset < length; offset++) {
        const index = start + ((offset + shift) % length);
        if (this.missing.has(index) && !this.begun.has(index)) yield index;
      }
    }
  }

  /** All that is wanted, where that is little. */
  get few(): readonly number[] | undefined {
    const { wanted } = this;
    if (wanted.count > FEW_COUNT) return undefined;
    if (this.listed === undefined) {
      const listed: number[] = [];
      for (let index = 0; index < wanted.size; index++) if (wanted.has(index)) listed.push(index);
      this.listed = listed;
    }
    return this.listed;
  }
}
