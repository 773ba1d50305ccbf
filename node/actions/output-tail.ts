/**
 * The last part of a command's output, bounded whatever the command writes (trust X15).
 */
export class OutputTail {
  readonly #limitBytes: number;
  #pieces: Buffer[] = [];
  #sizeBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  add(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#sizeBytes += piece.length;
    // Joined only now and then: output often comes in single lines.
    if (this.#sizeBytes > 2 * this.#limitBytes || this.#pieces.length > 4096) this.#join();
  }

  /** As text; bytes that are not UTF-8 are shown as U+FFFD. */
  text(): string {
    this.#join();
    return Buffer.concat(this.#pieces).toString("utf8");
  }

  #join(): void {
    const joined = Buffer.concat(this.#pieces);
    // A copy: a slice would keep everything before it in memory.
    const kept = Buffer.from(joined.subarray(Math.max(0, joined.length - this.#limitBytes)));
    this.#pieces = [kept];
    this.#sizeBytes = kept.length;
  }
}

/** The end of a text, at most so many characters, for a report. */
export function endOf(text: string, limitCharacters: number): string {
  return text.slice(-limitCharacters).toWellFormed();
}
