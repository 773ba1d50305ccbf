/**
 * What endpoints have against each other, kept in the records; the judgement is made again only when a
 * charge came or went, or time changes it.
 */
import { hash } from "node:crypto";
import { judge, type Bar, type Charges, type Standings } from "../core/standing/standing.ts";
import { parseDigest, type EndpointId } from "../../protocol/ids.ts";
import type { RefusalReport } from "../../protocol/report.ts";
import { setRecord, type RecordChange, type Records } from "./records.ts";
import { TABLES, type StandingRecord } from "./tables.ts";

/** Of one accused; three are enough, the others are for the operator's eyes. */
const REPORTERS_KEPT = 32;
/** Proofs that count no second time, also after their bar was lifted. */
const PROOFS_KEPT = 64;

export interface StandingBook {
  bars(nowMs: number): ReadonlyMap<EndpointId, Bar>;
  isBarred(endpoint: EndpointId, nowMs: number): boolean;
  /** When `bars` may differ without a change of the records; Infinity: never. */
  changesMs(nowMs: number): number;
  reportersOf(endpoint: EndpointId): readonly EndpointId[];
  /** For one commit: what a report of wrong bytes changes. Same report, same result. */
  accused(report: RefusalReport, isProven: boolean, nowMs: number): readonly RecordChange[];
  /** For one commit: forgets what is held against an endpoint, and what it holds against others. */
  lifted(endpoint: EndpointId): readonly RecordChange[];
}

export function openStandingBook(records: Records): StandingBook {
  let known: (Standings & { readonly revision: number; readonly atMs: number }) | undefined;

  function standings(nowMs: number): Standings {
    const revision = records.revision(TABLES.standings);
    const isKnown = known?.revision === revision && known.atMs <= nowMs && nowMs < known.changesMs;
    if (known === undefined || !isKnown) {
      known = { ...judge(chargesOf(records), nowMs), revision, atMs: nowMs };
    }
    return known;
  }

  const recordOf = (endpoint: EndpointId): StandingRecord =>
    records.get(TABLES.standings, endpoint) ?? { endpoint, reporters: [], proofs: [] };

  return {
    bars: (nowMs) => standings(nowMs).bars,
    isBarred: (endpoint, nowMs) => standings(nowMs).bars.has(endpoint),
    changesMs: (nowMs) => standings(nowMs).changesMs,
    reportersOf: (endpoint) => recordOf(endpoint).reporters.map((one) => one.endpoint),
    accused: ({ endpoint, accused, proof }, isProven, nowMs) => {
      if (accused === undefined || accused === endpoint) return [];
      const before = recordOf(accused);
      const seal = parseDigest(hash("sha256", proof?.signature ?? "", "hex"));
      // The same proof again is a copy: it must not undo what an operator lifted.
      if (isProven && before.proofs.includes(seal)) return [];
      const others = before.reporters.filter((one) => one.endpoint !== endpoint);
      const after = {
        ...before,
        reporters: [...others, { endpoint, atMs: nowMs }].slice(-REPORTERS_KEPT),
        ...(isProven
          ? {
              convictedMs: before.convictedMs ?? nowMs,
              proofs: [...before.proofs, seal].slice(-PROOFS_KEPT),
            }
          : {}),
      };
      return [setRecord(TABLES.standings, accused, after)];
    },
    lifted: (endpoint) =>
      records.all(TABLES.standings).flatMap(({ convictedMs, ...record }) => {
        const isOwn = record.endpoint === endpoint;
        const reporters = isOwn ? [] : record.reporters.filter((one) => one.endpoint !== endpoint);
        if (!isOwn && reporters.length === record.reporters.length) return [];
        const kept = isOwn || convictedMs === undefined ? {} : { convictedMs };
        return [setRecord(TABLES.standings, record.endpoint, { ...record, ...kept, reporters })];
      }),
  };
}

function chargesOf(records: Records): Charges {
  const rows = records.all(TABLES.standings);
  const convicted = rows.flatMap(({ endpoint, convictedMs }) => {
    return convictedMs === undefined ? [] : [[endpoint, convictedMs] as const];
  });
  const accusations = rows.flatMap(({ endpoint: accused, reporters }) =>
    reporters.map(({ endpoint: reporter, atMs }) => ({ reporter, accused, atMs })),
  );
  return { convicted: new Map(convicted), accusations };
}
