import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { openLineBook } from "../../../coordinator/store/line-book.ts";
import { PacedLine } from "../../../coordinator/store/paced-line.ts";
import type { SitePolicy } from "../../../protocol/traffic.ts";

const KB = 1000;
const { signal } = new AbortController();

let policy: SitePolicy | undefined;

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  policy = undefined;
});

afterEach(() => {
  vi.useRealTimers();
});

function line(): PacedLine {
  return new PacedLine({ policy: () => policy, nowMs: () => Date.now() });
}

/** Bytes that get through in so many milliseconds, by takers who always want more. */
async function carried(paced: PacedLine, takerCount: number, durationMs: number) {
  const sent = Array.from({ length: takerCount }, () => 0);
  const stop = new AbortController();
  const takers = sent.map(async (_none, at) => {
    while (!stop.signal.aborted) {
      await paced.take(16 * KB, stop.signal);
      if (!stop.signal.aborted) sent[at] = (sent[at] ?? 0) + 16 * KB;
    }
  });
  await vi.advanceTimersByTimeAsync(durationMs);
  stop.abort();
  await Promise.all(takers);
  return sent;
}

describe("paced line", () => {
  it("lets everything through at once where nothing is limited", async () => {
    const paced = line();

    await paced.take(1e9, signal);

    expect(paced.paceBytes()).toBe(Infinity);
  });

  it("keeps the limit of a site, headers included, and shares it evenly", async () => {
    policy = { downBytesPerSec: 1000 * KB };

    const sent = await carried(line(), 4, 10_000);

    const total = sent.reduce((sum, bytes) => sum + bytes, 0);
    expect(total).toBeGreaterThan(9000 * KB);
    expect(total).toBeLessThanOrEqual(10_000 * KB);
    expect(Math.max(...sent) - Math.min(...sent)).toBeLessThanOrEqual(32 * KB);
  });

  it("obeys a limit that changes while somebody waits", async () => {
    policy = { downBytesPerSec: KB };
    const paced = line();
    await paced.take(16 * KB, signal);
    let isThrough = false;
    const pass = async (): Promise<void> => {
      await paced.take(16 * KB, signal);
      isThrough = true;
    };
    const waiting = pass();
    await vi.advanceTimersByTimeAsync(200);
    const before = isThrough;

    policy = {};
    await vi.advanceTimersByTimeAsync(200);
    await waiting;

    expect(before).toBe(false);
  });

  it("lets go of a transfer that is closed while it waits", async () => {
    policy = { downBytesPerSec: KB };
    const paced = line();
    await paced.take(16 * KB, signal);
    const closed = new AbortController();
    const waiting = paced.take(16 * KB, closed.signal);

    closed.abort();

    await expect(waiting).resolves.toBeUndefined();
  });

  it("steers by one node at a time and changes it when that one falls silent", async () => {
    policy = { class: "background" };
    const paced = line();
    paced.begin();

    const first = paced.probeEveryMs("one");
    const second = paced.probeEveryMs("two");
    await vi.advanceTimersByTimeAsync(1000);
    const later = paced.probeEveryMs("two");

    expect(first).toBeLessThanOrEqual(200);
    expect(second).toBe(500);
    expect(later).toBe(first);
  });

  it("needs no probes in the foreground, nor while nothing is on its way", async () => {
    policy = { class: "foreground" };
    const paced = line();
    paced.begin();
    const inForeground = paced.probeEveryMs("one");
    policy = { class: "background" };
    const inBackground = paced.probeEveryMs("one");
    paced.end();
    await vi.advanceTimersByTimeAsync(3000);

    expect(inForeground).toBeUndefined();
    expect(inBackground).toBeDefined();
    expect(paced.probeEveryMs("one")).toBeUndefined();
    expect(paced.seen).toBeUndefined();
  });
});

describe("line book", () => {
  it("asks for fewer measurements of each line the more lines there are", () => {
    const lines = openLineBook({
      policyOf: () => ({ class: "background" }),
      nowMs: () => Date.now(),
    });
    const transfers = Array.from({ length: 1000 }, (_none, at) => lines.open(`site-${at}`));

    const first = lines.probeEveryMs("site-0", "one");
    for (let at = 1; at < 1000; at++) lines.probeEveryMs(`site-${at}`, "one");
    const last = lines.probeEveryMs("site-0", "one");

    expect(first).toBeLessThanOrEqual(200);
    expect(last).toBe(2000);
    for (const transfer of transfers) transfer[Symbol.dispose]();
  });
});
