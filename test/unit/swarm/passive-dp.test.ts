import { describe, expect, it } from "vitest";
import { Scheduler, type SchedulerEffect } from "../../../node/core/exchange/scheduler.ts";
import { Bitmap } from "../../../protocol/bitmap.ts";
import { endpointIdOf } from "../../../protocol/ids.ts";
import { digestOf } from "../../support/memory-swarm.ts";

const DP = endpointIdOf(Buffer.alloc(32, 9));
const FETCH_MS = 100;
const MESSAGE_MS = 20;
const TICK_MS = 50;

interface Coming {
  readonly atMs: number;
  readonly take: (nowMs: number) => readonly SchedulerEffect[];
}

/** A node beside a DP that fetches nothing itself and takes from it whatever it fetches. */
function lastArrivalMs(fragmentCount: number): number {
  const place = { role: "agent", dp: DP, rank: 0, siteSize: 3 } as const;
  const scheduler = new Scheduler(new Uint32Array(fragmentCount), place, 1, 0);
  const coming: Coming[] = [];
  let nowMs = 0;
  const later = (delayMs: number, take: Coming["take"]): void => {
    coming.push({ atMs: nowMs + delayMs, take });
  };
  const perform = (effects: readonly SchedulerEffect[]): void => {
    for (const effect of effects) {
      if (effect.type === "askLease") {
        const grants = effect.wish.want
          .slice(0, 4)
          .map((index) => ({ index, digest: digestOf(Buffer.from("x")), token: "t", ttlMs: 5000 }));
        const answer = { grants, leased: [], retryAfterMs: 0 };
        later(MESSAGE_MS, (atMs) => scheduler.step({ type: "leased", answer }, atMs));
      }
      if (effect.type === "fetchOrigin") {
        const { index } = effect;
        later(FETCH_MS, (atMs) =>
          scheduler.step({ type: "arrived", index, source: "origin" }, atMs),
        );
      }
      if (effect.type === "announce" && effect.peers.includes(DP)) {
        const { indices } = effect;
        later(2 * MESSAGE_MS, (atMs) =>
          scheduler.step({ type: "peerHas", peer: DP, indices }, atMs),
        );
      }
    }
  };
  const indices = Array.from({ length: fragmentCount }, (_none, index) => index);
  perform(scheduler.step({ type: "known", indices }, 0));
  const have = new Bitmap(fragmentCount);
  perform(scheduler.step({ type: "peerJoined", peer: DP, isDp: true, have }, 0));
  while (!scheduler.have.isFull && nowMs < 120_000) {
    nowMs += 10;
    const due = coming.filter(({ atMs }) => atMs <= nowMs);
    for (const one of due) {
      coming.splice(coming.indexOf(one), 1);
      perform(one.take(nowMs));
    }
    if (nowMs % TICK_MS === 0) perform(scheduler.step({ type: "tick" }, nowMs));
  }
  return nowMs;
}

describe("a node whose DP only passes on", () => {
  it("waits for the DP once, although the DP is heard of after every fragment", () => {
    // 3 s of patience, then 100 fragments of 100 ms, one or more at a time.
    expect(lastArrivalMs(100)).toBeLessThan(3000 + 100 * FETCH_MS + 1000);
  });
});
