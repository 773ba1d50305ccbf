/** A set of fragment indices with a run-length wire form (HAVE_MAP of distribution 5.2). */
import { DeployError } from "./errors.ts";
import type { ByteReader, ByteWriter } from "./bytes.ts";

export class Bitmap {
  readonly size: number;
  private readonly words: Uint32Array;
  private setCount = 0;

  constructor(size: number) {
    this.size = size;
    this.words = new Uint32Array(Math.ceil(size / 32));
  }

  get count(): number {
    return this.setCount;
  }

  get isFull(): boolean {
    return this.setCount === this.size;
  }

  has(index: number): boolean {
    return ((this.words[index >>> 5] ?? 0) & (1 << (index & 31))) !== 0;
  }

  /** Returns whether the index was new. Indices outside the size are ignored. */
  add(index: number): boolean {
    if (index < 0 || index >= this.size || this.has(index)) return false;
    const word = index >>> 5;
    this.words[word] = (this.words[word] ?? 0) | (1 << (index & 31));
    this.setCount++;
    return true;
  }

  delete(index: number): boolean {
    if (index < 0 || index >= this.size || !this.has(index)) return false;
    const word = index >>> 5;
    this.words[word] = (this.words[word] ?? 0) & ~(1 << (index & 31));
    this.setCount--;
    return true;
  }

  /** Lengths of alternating runs, absent first: varints. */
  encode(writer: ByteWriter): void {
    const runs: number[] = [];
    let isPresent = false;
    let length = 0;
    for (let index = 0; index < this.size; index++) {
      if (this.has(index) === isPresent) length++;
      else {
        runs.push(length);
        isPresent = !isPresent;
        length = 1;
      }
    }
    runs.push(length);
    writer.varint(this.size);
    writer.varint(runs.length);
    for (const run of runs) writer.varint(run);
  }

  static decode(reader: ByteReader, maxSize: number): Bitmap {
    const size = reader.varint(maxSize);
    const runCount = reader.varint(size + 1);
    const bitmap = new Bitmap(size);
    let at = 0;
    for (let run = 0; run < runCount; run++) {
      const length = reader.varint(size - at);
      if (run % 2 === 1) for (let index = at; index < at + length; index++) bitmap.add(index);
      at += length;
    }
    if (at !== size) {
      throw new DeployError("DOCUMENT_INVALID", {
        what: "a bitmap",
        problem: "its runs do not fill it",
      });
    }
    return bitmap;
  }
}
