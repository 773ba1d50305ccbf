/** What one fetch of a package waits for: shrinks as fragments arrive, grows where some are lost. */
import { Bitmap } from "../../protocol/bitmap.ts";

export class FragmentWish {
  readonly #wanted: Bitmap;
  readonly #missing: Bitmap;

  constructor(wanted: Bitmap, have: Bitmap) {
    this.#wanted = wanted;
    this.#missing = new Bitmap(wanted.size);
    for (let index = 0; index < wanted.size; index++) {
      if (wanted.has(index) && !have.has(index)) this.#missing.add(index);
    }
  }

  get isMet(): boolean {
    return this.#missing.count === 0;
  }

  arrived(index: number): void {
    this.#missing.delete(index);
  }

  lost(index: number): void {
    if (this.#wanted.has(index)) this.#missing.add(index);
  }
}
