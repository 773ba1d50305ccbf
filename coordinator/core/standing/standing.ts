/**
 * Who is barred from its site for wrong bytes (distribution 5.5). A proof convicts until an operator lifts
 * it. What nobody can prove counts by its independent reporters for a day; who accuses many without anybody
 * else saying the same is barred itself.
 */
import type { EndpointId } from "../../../protocol/ids.ts";

/** What counts of an accusation, from its last time on. */
export const ACCUSATION_LIFE_MS = 24 * 3_600_000;
/** Independent reporters that bar without a proof. */
export const REPORTERS_TO_BAR = 3;
/** Accused that nobody else accuses, from which on their reporter is the one in doubt. */
export const ACCUSED_TO_DOUBT = 3;
/**
 * Others need as long to find the same: among many hostile peers an honest node is often the first to say
 * so. A lone reporter bars nobody meanwhile.
 */
export const DOUBT_GRACE_MS = 10 * 60_000;

export interface Accusation {
  readonly reporter: EndpointId;
  readonly accused: EndpointId;
  readonly atMs: number;
}

/** Everything that is known against endpoints; at most one accusation of each pair. */
export interface Charges {
  /** When each was convicted by what it signed. */
  readonly convicted: ReadonlyMap<EndpointId, number>;
  readonly accusations: readonly Accusation[];
}

/** `proof`: convicted. `reports`: enough others say so. `doubt`: it accuses many and nobody agrees. */
export type BarReason = "proof" | "reports" | "doubt";

export interface Bar {
  readonly endpoint: EndpointId;
  readonly reason: BarReason;
  readonly sinceMs: number;
  /** Absent: until an operator lifts it. */
  readonly untilMs?: number;
}

export interface Standings {
  readonly bars: ReadonlyMap<EndpointId, Bar>;
  /** The same charges may judge otherwise from then on; Infinity: never. */
  readonly changesMs: number;
}

/** Same charges and instant, same judgement: the order in which they came in does not matter. */
export function judge(charges: Charges, nowMs: number): Standings {
  const { convicted } = charges;
  const live = charges.accusations.filter(
    ({ reporter, accused, atMs }) =>
      reporter !== accused && !convicted.has(reporter) && nowMs < atMs + ACCUSATION_LIFE_MS,
  );
  const bars = new Map<EndpointId, Bar>();
  for (const [endpoint, sinceMs] of convicted) {
    bars.set(endpoint, { endpoint, reason: "proof", sinceMs });
  }
  for (const [endpoint, against] of Map.groupBy(live, ({ accused }) => accused)) {
    const bar = barOf(endpoint, "reports", against, REPORTERS_TO_BAR);
    if (bar !== undefined && !bars.has(endpoint)) bars.set(endpoint, bar);
  }
  const alone = live.filter(({ accused }) => !bars.has(accused));
  const doubted = [...Map.groupBy(alone, ({ reporter }) => reporter)].flatMap(([reporter, by]) => {
    return barOf(reporter, "doubt", by, ACCUSED_TO_DOUBT) ?? [];
  });
  for (const bar of doubted) {
    const isDue = bar.sinceMs + DOUBT_GRACE_MS <= nowMs;
    if (isDue && !bars.has(bar.endpoint)) bars.set(bar.endpoint, bar);
  }
  const edges = [
    ...live.map(({ atMs }) => atMs + ACCUSATION_LIFE_MS),
    ...doubted.map(({ sinceMs }) => sinceMs + DOUBT_GRACE_MS),
  ];
  const changesMs = Math.min(...edges.filter((edge) => edge > nowMs));
  return { bars, changesMs };
}

/** From the accusation that made them enough, until there are fewer again. */
function barOf(
  endpoint: EndpointId,
  reason: BarReason,
  accusations: readonly Accusation[],
  enough: number,
): Bar | undefined {
  const times = accusations.map(({ atMs }) => atMs).toSorted((one, other) => one - other);
  const sinceMs = times[enough - 1];
  const lastMs = times.at(-enough);
  if (sinceMs === undefined || lastMs === undefined) return undefined;
  return { endpoint, reason, sinceMs, untilMs: lastMs + ACCUSATION_LIFE_MS };
}
