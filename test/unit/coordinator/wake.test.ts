import { describe, expect, it } from "vitest";
import { wakeOutcome, wakesDue, type WakeNode } from "../../../coordinator/core/intent/wake.ts";
import { endpointIdOf } from "../../../protocol/ids.ts";

const NOW_MS = 10_000_000;
const node = (seed: number, more: Partial<WakeNode> = {}): WakeNode => ({
  endpoint: endpointIdOf(new Uint8Array(32).fill(seed)),
  site: "berlin",
  seenMs: NOW_MS - 1000,
  macs: [`02:00:00:00:00:0${seed}`],
  ...more,
});
const off = (seed: number, more: Partial<WakeNode> = {}) =>
  node(seed, { seenMs: NOW_MS - 126_000, ...more });
const due = (
  targets: readonly WakeNode[],
  nodes: readonly WakeNode[] = [node(9)],
  asked: readonly WakeNode[] = [],
  nowMs = NOW_MS,
) =>
  wakesDue(
    { startMs: NOW_MS, endMs: NOW_MS + 1000 },
    targets,
    { nodesAt: () => nodes, asked: new Set(asked.map(({ endpoint }) => endpoint)) },
    nowMs,
  );

describe("whom to wake", () => {
  it("OCO-7 wakes the targets that are off, at the start and not before, and not after the end", () => {
    expect(due([off(1), node(2)])).toMatchObject([
      { endpoint: off(1).endpoint, macs: off(1).macs },
    ]);
    expect(due([off(1)], [node(9)], [], NOW_MS - 1)).toEqual([]);
    expect(due([off(1)], [node(9)], [], NOW_MS + 1000)).toEqual([]);
  });

  it("OCO-9 D11 takes an endpoint as on for 125 s after its last contact", () => {
    expect(due([node(1, { seenMs: NOW_MS - 125_000 })])).toEqual([]);
    expect(due([node(1, { seenMs: NOW_MS - 125_001 })])).toHaveLength(1);
    const settings = { offlineAfterMs: 10_000, expiryMs: 1 };
    const place = { nodesAt: () => [], asked: new Set<never>() };
    const target = [node(1, { seenMs: NOW_MS - 11_000 })];
    expect(
      wakesDue({ startMs: 0, endMs: undefined }, target, place, NOW_MS, settings),
    ).toHaveLength(1);
  });

  it("OCO-9 D11 wakes nobody for being silent between two check-ins of its own", () => {
    const checkInMs = 300_000;
    const ago = (silentMs: number) => node(1, { seenMs: NOW_MS - silentMs, checkInMs });

    expect(due([ago(2.5 * checkInMs)])).toEqual([]);
    expect(due([ago(2.5 * checkInMs + 1)])).toHaveLength(1);
    const quick = node(1, { seenMs: NOW_MS - 125_000, checkInMs: 1000 });
    expect(due([quick])).toEqual([]);
    expect(due([{ ...quick, seenMs: NOW_MS - 125_001 }])).toHaveLength(1);
    const relay = { ...ago(2 * checkInMs), endpoint: node(9).endpoint };
    expect(due([off(2)], [relay])[0]?.relay).toBe(relay.endpoint);
  });

  it("asks each once, and none whose address or place is unknown", () => {
    expect(due([off(1)], [node(9)], [off(1)])).toEqual([]);
    expect(due([off(1, { macs: [] }), off(2, { site: undefined })])).toEqual([]);
  });

  it("OCO-12 sends it through a wired node of the target's own site that is there", () => {
    const asked: string[] = [];
    const place = {
      nodesAt: (site: string) => {
        asked.push(site);
        return [off(3), node(4, { macs: [] }), node(5, { seenMs: NOW_MS - 9000 }), node(6)];
      },
      asked: new Set<never>(),
    };
    const [wake] = wakesDue({ startMs: 0, endMs: undefined }, [off(1)], place, NOW_MS);

    expect(asked).toEqual(["berlin"]);
    expect(wake?.relay).toBe(node(6).endpoint);
    expect(due([off(1)], [off(1), off(3)])[0]?.relay).toBeUndefined();
  });
});

describe("who was woken", () => {
  const sentMs = NOW_MS;
  const outcome = (seenMs: number | undefined, bootMs: number | undefined, nowMs: number) =>
    wakeOutcome({ sentMs }, { seenMs, bootMs }, nowMs);

  it("OCO-10 D11 counts as woken who comes up within five minutes", () => {
    expect(outcome(undefined, undefined, sentMs + 299_999)).toBe("pending");
    expect(outcome(sentMs + 299_999, sentMs + 30_000, sentMs + 400_000)).toBe("woken");
    expect(outcome(sentMs + 10, undefined, sentMs + 10)).toBe("woken");
  });

  it("OCO-11 gives the shutdown up for who comes up later", () => {
    expect(outcome(undefined, undefined, sentMs + 300_000)).toBe("expired");
    expect(outcome(sentMs + 300_000, sentMs + 290_000, sentMs + 300_000)).toBe("expired");
  });

  it("OCO-9 D11 never counts as woken who was running all the time", () => {
    expect(outcome(sentMs + 10_000, sentMs - 3_600_000, sentMs + 10_000)).toBe("wasOn");
    expect(outcome(sentMs - 1, undefined, sentMs + 1)).toBe("pending");
  });

  it("OCO-10 takes the time from the settings", () => {
    const settings = { offlineAfterMs: 1, expiryMs: 1000 };

    expect(
      wakeOutcome(
        { sentMs },
        { seenMs: sentMs + 1500, bootMs: undefined },
        sentMs + 2000,
        settings,
      ),
    ).toBe("expired");
  });
});
