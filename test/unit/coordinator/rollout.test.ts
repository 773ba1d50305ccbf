import { describe, expect, it } from "vitest";
import {
  currentRing,
  resumeRollout,
  ringOf,
  rolloutHold,
  rolloutState,
  stopRollout,
  type RolloutMember,
  type RolloutProgress,
} from "../../../coordinator/core/intent/rollout.ts";
import { endpointIdOf } from "../../../protocol/ids.ts";
import type { Ring, Rollout } from "../../../protocol/intent.ts";

const HOUR_MS = 3_600_000;
const NOW_MS = 1_000 * HOUR_MS;
const NEW: RolloutProgress = { openedMs: [] };
const id = (seed: number) =>
  endpointIdOf(
    Uint8Array.from({ length: 32 }, (_none, at) => (at < 2 ? seed >> (8 * at) : 7) & 255),
  );
const rollout = (rings: readonly Ring[]): Rollout => ({
  name: "r",
  packageGroup: "p",
  endpointGroup: "e",
  rings: [...rings],
});
const member = (
  ring: number,
  state: RolloutMember["state"],
  more: Partial<RolloutMember> = {},
): RolloutMember => ({
  endpoint: id(ring),
  ring,
  state,
  seenMs: NOW_MS - 1000,
  resultMs: state === "pending" ? undefined : NOW_MS - 500,
  ...more,
});
const times = (count: number, one: RolloutMember) => Array.from({ length: count }, () => one);
const two = rollout([{ name: "first", sharePercent: 10 }, { name: "rest" }]);

describe("members of rings", () => {
  it("takes about the share of each ring, always the same endpoints, and the rest in the last", () => {
    const rings = Array.from({ length: 2000 }, (_none, at) => ringOf(two, id(at), () => false));

    const first = rings.filter((ring) => ring === 0).length;
    expect(first).toBeGreaterThan(140);
    expect(first).toBeLessThan(260);
    expect(rings.filter((ring) => ring === 1)).toHaveLength(2000 - first);
    expect(Array.from({ length: 2000 }, (_none, at) => ringOf(two, id(at), () => false))).toEqual(
      rings,
    );
  });

  it("keeps an endpoint in its ring when a later one is changed", () => {
    const changed = rollout([
      { name: "first", sharePercent: 10 },
      { name: "more", sharePercent: 50 },
    ]);

    for (let at = 0; at < 500; at++) {
      if (ringOf(two, id(at), () => false) === 0)
        expect(ringOf(changed, id(at), () => false)).toBe(0);
    }
  });

  it("takes a ring's own group, and nobody whom no ring takes", () => {
    const canary = rollout([{ name: "lab", endpointGroup: "lab" }]);

    expect(ringOf(canary, id(1), (group) => group === "lab")).toBe(0);
    expect(ringOf(canary, id(1), () => false)).toBeUndefined();
  });

  it("puts who joined after the start into the last open ring", () => {
    const progress = { openedMs: [100, 200] };

    expect(currentRing(progress, 3, 150)).toBe(1);
    expect(currentRing(progress, 3, 50)).toBe(3);
    expect(currentRing(progress, 0, 150)).toBe(0);
    expect(currentRing(NEW, 3, 150)).toBe(3);
  });
});

describe("progress", () => {
  it("opens the first ring at once, and the next one when enough have succeeded", () => {
    const open = rolloutState(two, NEW, times(10, member(0, "pending")), NOW_MS);
    expect(open.progress.openedMs).toEqual([NOW_MS]);

    const most = [...times(9, member(0, "succeeded")), member(0, "pending")];
    expect(rolloutState(two, open.progress, most, NOW_MS).progress.openedMs).toHaveLength(1);
    const all = times(10, member(0, "succeeded"));
    const next = rolloutState(two, open.progress, all, NOW_MS);
    expect(next.progress.openedMs).toEqual([NOW_MS, NOW_MS]);
    expect(next.rings[0]).toMatchObject({ succeededCount: 10, reachedMs: NOW_MS });
  });

  it("rests after the success for as long as the ring says", () => {
    const rested = rollout([{ name: "first", delayHours: 24 }, { name: "rest" }]);
    const progress = { openedMs: [NOW_MS - HOUR_MS] };
    const members = times(4, member(0, "succeeded", { resultMs: NOW_MS }));

    const before = rolloutState(rested, progress, members, NOW_MS + 23 * HOUR_MS);
    expect(before.progress.openedMs).toHaveLength(1);
    expect(before.changesMs).toBe(NOW_MS + 24 * HOUR_MS);
    expect(
      rolloutState(rested, progress, members, NOW_MS + 24 * HOUR_MS).progress.openedMs,
    ).toHaveLength(2);
  });

  it("stops everything at the error threshold and says by what", () => {
    const progress = { openedMs: [NOW_MS - HOUR_MS] };
    const members = [...times(9, member(0, "succeeded")), member(0, "failed")];

    const state = rolloutState(two, progress, members, NOW_MS);
    expect(state.state).toBe("stopped");
    expect(state.progress.stopped).toEqual({
      atMs: NOW_MS,
      reason: "1 of 10 endpoints of ring first failed, the limit is 10 %",
    });
    const few = [...times(10, member(0, "succeeded")), member(0, "failed")];
    expect(rolloutState(two, progress, few, NOW_MS).state).toBe("running");
  });

  it("counts live endpoints only, and takes silence for failure when its time is over", () => {
    const progress = { openedMs: [NOW_MS - 25 * HOUR_MS] };
    const asleep = member(0, "pending", { seenMs: NOW_MS - 30 * HOUR_MS });
    const done = times(19, member(0, "succeeded"));

    const quiet = rolloutState(two, progress, [...done, ...times(50, asleep)], NOW_MS);
    expect(quiet.rings[0]).toMatchObject({ memberCount: 69, liveCount: 19, failedCount: 0 });
    expect(quiet.progress.openedMs).toHaveLength(2);
    const silent = [...done, ...times(3, member(0, "pending"))];
    expect(rolloutState(two, progress, silent, NOW_MS).rings[0]).toMatchObject({
      failedCount: 3,
      timedOutCount: 3,
    });
    const fresh = silent.map((one) => ({ ...one, offeredMs: NOW_MS - HOUR_MS }));
    const waiting = rolloutState(two, progress, fresh, NOW_MS);
    expect(waiting.rings[0]?.timedOutCount).toBe(0);
    expect(waiting.changesMs).toBe(NOW_MS + 23 * HOUR_MS);
  });

  it("does not take a ring for successful whose endpoints are all away, but passes an empty one", () => {
    const progress = { openedMs: [NOW_MS - HOUR_MS] };
    const away = times(5, member(0, "pending", { seenMs: undefined }));

    expect(rolloutState(two, progress, away, NOW_MS).progress.openedMs).toHaveLength(1);
    expect(
      rolloutState(two, progress, [member(1, "pending")], NOW_MS).progress.openedMs,
    ).toHaveLength(2);
  });

  it("goes on when an operator resumes it, and forgives the failures until then", () => {
    const progress = { openedMs: [NOW_MS - HOUR_MS] };
    const members = [
      ...times(5, member(0, "succeeded")),
      ...times(5, member(0, "failed")),
      member(1, "pending"),
    ];
    const stopped = rolloutState(two, progress, members, NOW_MS).progress;

    expect(rolloutState(two, stopped, members, NOW_MS + 1).state).toBe("stopped");
    const resumed = rolloutState(two, resumeRollout(stopped, NOW_MS + 1), members, NOW_MS + 2);
    expect(resumed.state).toBe("running");
    expect(resumed.progress.openedMs).toHaveLength(2);
    const again = [...members, member(1, "failed", { resultMs: NOW_MS + 3 })];
    expect(rolloutState(two, resumed.progress, again, NOW_MS + 4).state).toBe("stopped");
  });

  it("is done when every ring has reached its share", () => {
    const members = [...times(3, member(0, "succeeded")), ...times(3, member(1, "succeeded"))];

    expect(rolloutState(two, { openedMs: [1, 2] }, members, NOW_MS).state).toBe("succeeded");
  });
});

describe("holding back", () => {
  it("says for each endpoint why nothing is handed out, and what ends it", () => {
    const progress = { openedMs: [5] };

    expect(rolloutHold(two, progress, 0, NOW_MS)).toBeUndefined();
    expect(rolloutHold(two, progress, 1, NOW_MS)).toMatchObject({
      code: "ringClosed",
      text: expect.stringContaining("Ring rest") as string,
      endsWhen: expect.stringContaining("first") as string,
      sinceMs: 5,
    });
    expect(rolloutHold(two, progress, undefined, NOW_MS)?.code).toBe("ringClosed");
    const stopped = stopRollout(progress, "an operator stopped it", 9);
    expect(rolloutHold(two, stopped, 0, NOW_MS)).toMatchObject({
      code: "rolloutStopped",
      text: expect.stringContaining("an operator stopped it") as string,
      sinceMs: 9,
    });
    expect(stopRollout(stopped, "again", 10)).toBe(stopped);
  });
});
