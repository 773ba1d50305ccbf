/** Bounded reading and writing of the exchange's binary fields: varints, fixed bytes, short texts. */
import { DeployError } from "./errors.ts";

export class ByteWriter {
  private readonly parts: Uint8Array[] = [];

  byte(value: number): this {
    this.parts.push(Uint8Array.of(value));
    return this;
  }

  /** Unsigned LEB128, at most 2^53 - 1. */
  varint(value: number): this {
    const bytes: number[] = [];
    let rest = value;
    while (rest >= 0x80) {
      bytes.push((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    bytes.push(rest);
    this.parts.push(Uint8Array.from(bytes));
    return this;
  }

  fixed(bytes: Uint8Array): this {
    this.parts.push(bytes);
    return this;
  }

  /** Length as varint, then the bytes. */
  sized(bytes: Uint8Array): this {
    return this.varint(bytes.length).fixed(bytes);
  }

  text(value: string): this {
    return this.sized(Buffer.from(value, "utf8"));
  }

  finish(): Buffer {
    return Buffer.concat(this.parts);
  }
}

/** Every read is bounded and throws DOCUMENT_INVALID on noise; it never reads past the end. */
export class ByteReader {
  private readonly bytes: Buffer;
  private readonly what: string;
  private at = 0;

  constructor(what: string, bytes: Buffer) {
    this.what = what;
    this.bytes = bytes;
  }

  byte(): number {
    return this.fixed(1)[0] ?? 0;
  }

  varint(max: number): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 8; count++) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (value > max) throw this.invalid(`a number above ${max}`);
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
    throw this.invalid("a number without an end");
  }

  fixed(length: number): Buffer {
    if (this.at + length > this.bytes.length) throw this.invalid("it ends too early");
    const out = this.bytes.subarray(this.at, this.at + length);
    this.at += length;
    return out;
  }

  sized(maxLength: number): Buffer {
    return this.fixed(this.varint(maxLength));
  }

  text(maxLength: number): string {
    return this.sized(maxLength).toString("utf8");
  }

  end(): void {
    if (this.at !== this.bytes.length) throw this.invalid("it has bytes left over");
  }

  invalid(problem: string): DeployError {
    return new DeployError("DOCUMENT_INVALID", { what: this.what, problem });
  }
}
