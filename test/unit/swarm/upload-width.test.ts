/** How many peers are served side by side. */
import { describe, expect, it } from "vitest";
import { UploadWidth } from "../../../node/core/exchange/upload-width.ts";

const MOST = 8;
const FRAGMENT_BYTES = 256_000;

/** Serves peers that all wait, for so long; `rateOf`: bytes per second of each among so many at once. */
function serve(
  width: UploadWidth,
  rateOf: (count: number) => number,
  { fromMs, seconds }: { readonly fromMs: number; readonly seconds: number },
): readonly number[] {
  const widths: number[] = [];
  for (let nowMs = fromMs; nowMs < fromMs + seconds * 1000;) {
    const { count } = width;
    const tookMs = (FRAGMENT_BYTES / rateOf(count)) * 1000;
    for (let each = 0; each < count; each++) {
      width.sent({ sizeBytes: FRAGMENT_BYTES, beganMs: nowMs }, nowMs + tookMs);
    }
    nowMs += tookMs;
    widths.push(count);
  }
  return widths;
}

function port(bytesPerSecond: number): (count: number) => number {
  return (count) => bytesPerSecond / count;
}

describe("UploadWidth", () => {
  it("serves as many as may be where the port is fast", () => {
    const width = new UploadWidth(MOST);

    serve(width, port(25_000_000), { fromMs: 0, seconds: 3 });

    expect(width.count).toBe(MOST);
  });

  it("serves one after the other where the port is slow, and tries two seldom", () => {
    const width = new UploadWidth(MOST);
    const before = serve(width, port(250_000), { fromMs: 0, seconds: 12 });
    expect(before.at(-1)).toBe(1);

    const widths = serve(width, port(250_000), { fromMs: 12_000, seconds: 300 });
    expect(Math.max(...widths)).toBe(2);
    expect(widths.filter((count) => count === 1).length).toBeGreaterThan(200);
  });

  it("serves as many as may be where each peer is slow by itself", () => {
    for (const bytesPerSecond of [250_000, 30_000]) {
      const width = new UploadWidth(MOST);

      serve(width, () => bytesPerSecond, { fromMs: 0, seconds: 200 });

      expect(width.count).toBe(MOST);
    }
  });

  it("follows a port that becomes slow, and fast again", () => {
    const width = new UploadWidth(MOST);
    serve(width, port(25_000_000), { fromMs: 0, seconds: 3 });

    const slow = serve(width, port(250_000), { fromMs: 3000, seconds: 60 });
    expect(Math.max(...slow.slice(-20))).toBe(2);

    serve(width, port(25_000_000), { fromMs: 63_000, seconds: 3 });
    expect(width.count).toBe(MOST);
  });

  it("learns nothing from what the system's buffers take at once", () => {
    const width = new UploadWidth(MOST);

    for (let count = 0; count < 100; count++) width.sent({ sizeBytes: 1000, beganMs: 0 }, 0);

    expect(width.count).toBe(4);
  });
});
