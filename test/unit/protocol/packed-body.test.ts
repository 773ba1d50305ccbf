import { randomBytes } from "node:crypto";
import { constants, zstdCompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { packedBody, unpackedBody } from "../../../protocol/packed-body.ts";

const text = JSON.stringify(Array.from({ length: 100 }, (_none, at) => ({ index: at, of: 100 })));

function refusal(bytes: Uint8Array, limitBytes = 1_000_000): string {
  try {
    unpackedBody("it", bytes, limitBytes);
    return "taken";
  } catch (error) {
    return (error as { code: string }).code;
  }
}

describe("packed bodies", () => {
  it("come back as they were, in less than half the space", () => {
    const frame = packedBody(text)!;

    expect(frame.length).toBeLessThan(text.length / 2);
    expect(unpackedBody("it", frame, text.length).toString()).toBe(text);
  });

  it("are not made of what is short, nor of what does not shrink", () => {
    expect(packedBody("x".repeat(500))).toBeUndefined();
    // One byte of text for seven bits of chance, and a header on top.
    const ascii = Array.from(randomBytes(700), (byte) => String.fromCodePoint(byte % 128)).join("");
    expect(packedBody(ascii)?.length ?? 0).toBeLessThan(700);
  });

  it("P6 are refused above the limit, cut, damaged, or where they ask for much memory", () => {
    const frame = packedBody(text)!;
    expect(refusal(frame, text.length - 1)).toBe("DOCUMENT_TOO_LARGE");
    expect(refusal(zstdCompressSync(Buffer.alloc(1_500_000)))).toBe("DOCUMENT_TOO_LARGE");
    expect(refusal(frame.subarray(0, -1))).toBe("DOCUMENT_INVALID");
    expect(refusal(Buffer.from("no frame"))).toBe("DOCUMENT_INVALID");
    const params = { [constants.ZSTD_c_windowLog]: 24 };
    const wide = zstdCompressSync(Buffer.alloc(20_000_000), { params });
    expect(refusal(wide, 30_000_000)).toBe("DOCUMENT_INVALID");
  });
});
