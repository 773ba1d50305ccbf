/** Laws of the judgement about wrong bytes, over random accusations. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  ACCUSATION_LIFE_MS,
  ACCUSED_TO_DOUBT,
  DOUBT_GRACE_MS,
  judge,
  REPORTERS_TO_BAR,
  type Accusation,
} from "../../../coordinator/core/standing/standing.ts";
import { endpointIdOf, type EndpointId } from "../../../protocol/ids.ts";

const IDS = Array.from({ length: 9 }, (_none, at) => endpointIdOf(Buffer.alloc(32, at + 1)));
const id = fc.constantFrom(...IDS);
const atMs = fc.integer({ min: 0, max: 2 * ACCUSATION_LIFE_MS });
const accusation: fc.Arbitrary<Accusation> = fc.record({ reporter: id, accused: id, atMs });
/** At most one of each pair, as the records keep them. */
const accusations = fc.uniqueArray(accusation, {
  maxLength: 60,
  selector: ({ reporter, accused }) => `${reporter} ${accused}`,
});
const convicted = fc.uniqueArray(id, { maxLength: 3 }).map((some) => {
  return new Map(some.map((one) => [one, 5] as const));
});
const nobody: ReadonlyMap<EndpointId, number> = new Map();

describe("the judgement about wrong bytes", () => {
  it("distribution 5.5 is the same in whatever order the accusations came", () => {
    fc.assert(
      fc.property(accusations, convicted, atMs, (some, proven, nowMs) => {
        const one = judge({ convicted: proven, accusations: some }, nowMs);
        const other = judge({ convicted: proven, accusations: some.toReversed() }, nowMs);

        expect(new Set(other.bars.values())).toEqual(new Set(one.bars.values()));
        expect(other.changesMs).toBe(one.changesMs);
      }),
    );
  });

  it("distribution 5.5 never bars anybody by the word of two, and the accuser at most instead", () => {
    fc.assert(
      fc.property(accusations, id, id, atMs, (some, one, other, nowMs) => {
        const words = some.filter(({ reporter }) => reporter === one || reporter === other);
        const { bars } = judge({ convicted: nobody, accusations: words }, nowMs);

        for (const { endpoint, reason } of bars.values()) {
          expect(reason).toBe("doubt");
          expect([one, other]).toContain(endpoint);
        }
      }),
    );
  });

  it("distribution 5.5 bars a convicted endpoint for ever, and takes no word of it", () => {
    fc.assert(
      fc.property(accusations, convicted, atMs, (some, proven, nowMs) => {
        const { bars } = judge({ convicted: proven, accusations: some }, nowMs);
        const honest = some.filter(({ reporter }) => !proven.has(reporter));

        for (const endpoint of proven.keys()) {
          expect(bars.get(endpoint)).toMatchObject({ reason: "proof" });
          expect(bars.get(endpoint)?.untilMs).toBeUndefined();
        }
        expect(judge({ convicted: proven, accusations: honest }, nowMs).bars).toEqual(bars);
      }),
    );
  });

  it("distribution 5.5 bars whom three accuse from the third word on and for a day", () => {
    fc.assert(
      fc.property(fc.array(atMs, { minLength: 3, maxLength: 3 }), atMs, (times, nowMs) => {
        const accused = IDS[0]!;
        const words = times.map((at, n) => ({ reporter: IDS[n + 1]!, accused, atMs: at }));
        const past = words.filter((word) => word.atMs <= nowMs);
        const { bars } = judge({ convicted: nobody, accusations: past }, nowMs);
        const live = past.filter((word) => nowMs < word.atMs + ACCUSATION_LIFE_MS);

        expect(bars.has(accused)).toBe(live.length >= REPORTERS_TO_BAR);
      }),
    );
  });

  it("BR-3 never doubts an honest node among many hostile ones once others say the same", () => {
    fc.assert(
      fc.property(fc.integer({ min: 3, max: 5 }), atMs, (honestCount, nowMs) => {
        const honest = IDS.slice(0, honestCount);
        const hostile = IDS.slice(honestCount);
        const words = honest.flatMap((reporter) =>
          hostile.map((accused) => ({ reporter, accused, atMs: 0 })),
        );
        const { bars } = judge({ convicted: nobody, accusations: words }, nowMs);

        expect(honest.filter((one) => bars.has(one))).toEqual([]);
        expect(hostile.every((one) => bars.has(one))).toBe(nowMs < ACCUSATION_LIFE_MS);
      }),
    );
  });

  it("distribution 5.5 bars a lone accuser of many after the grace, and nobody whom it accuses", () => {
    const liar = IDS[0]!;
    const words = IDS.slice(1, 1 + ACCUSED_TO_DOUBT).map((accused, at) => {
      return { reporter: liar, accused, atMs: at };
    });
    const dueMs = ACCUSED_TO_DOUBT - 1 + DOUBT_GRACE_MS;
    const before = judge({ convicted: nobody, accusations: words }, dueMs - 1);
    const after = judge({ convicted: nobody, accusations: words }, dueMs);

    expect(before.bars.size).toBe(0);
    expect(before.changesMs).toBe(dueMs);
    expect([...after.bars.keys()]).toEqual([liar]);
    expect(after.bars.get(liar)).toMatchObject({ reason: "doubt", untilMs: ACCUSATION_LIFE_MS });
  });

  it("says until when a judgement stands", () => {
    fc.assert(
      fc.property(
        accusations,
        atMs,
        fc.double({ min: 0, max: 1, noNaN: true }),
        (some, nowMs, share) => {
          const charges = { convicted: nobody, accusations: some };
          const { bars, changesMs } = judge(charges, nowMs);
          const endMs = Math.min(changesMs, nowMs + ACCUSATION_LIFE_MS);
          const laterMs = nowMs + Math.floor((endMs - nowMs - 1) * share);

          expect(judge(charges, laterMs).bars).toEqual(bars);
        },
      ),
    );
  });
});
