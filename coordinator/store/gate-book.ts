/**
 * All lease gates, one per site and manifest, with the bytes the origin sent by reason. Served marks and
 * sums are written to the store every few seconds, so that a restart does not send a package again.
 */
import { newGate, type GateState } from "../core/line/gate-state.ts";
import { step, type GateAnswer, type GateEvent } from "../core/line/lease-gate.ts";
import type { Digest, EndpointId } from "../../protocol/ids.ts";
import type { ForceReason } from "../../protocol/lease.ts";
import { NO_WAN_BYTES, type WanBytes, type WanReason } from "../../protocol/traffic.ts";
import { budgetBytes } from "../core/line/byte-budget.ts";
import { setRecord, type Records } from "./records.ts";
import { TABLES, type TrafficRecord } from "./tables.ts";

/** A site's name, or `~<endpoint id>` for an endpoint at no site. */
export interface GatePlace {
  readonly site: string;
  readonly manifest: Digest;
}

export interface Grant extends GatePlace {
  readonly index: number;
  readonly expiresMs: number;
  readonly reason: WanReason;
}

export interface SentGrant extends Grant {
  /** A plain HTTPS origin sent it. */
  readonly isPlain?: boolean;
}

/** What was sent of a package to one endpoint since a day began. */
interface Sent {
  readonly sinceMs: number;
  sizeBytes: number;
}

export interface GateBook {
  send(place: GatePlace, event: GateEvent, nowMs: number): GateAnswer;
  /** Why a fragment that was granted just now may cross the line. */
  reasonOf(place: GatePlace, index: number, force: ForceReason | undefined): WanReason;
  /** Bytes that the origin has sent to the holder of a grant. */
  addOriginBytes(holder: EndpointId, grant: SentGrant, sizeBytes: number): void;
  /** The same bytes turn out to be of no use: the transfer broke off. */
  lostOriginBytes(grant: Grant, sizeBytes: number): void;
  /** A later transfer goes on after so many of them: they were of use. */
  keptOriginBytes(grant: Grant, sizeBytes: number): void;
  /** Whether an endpoint was sent so much of a package within a day that something must be wrong. */
  isOverBudget(place: GatePlace, holder: EndpointId, wireBytes: number, nowMs: number): boolean;
  /** What a granted token stands for; tokens themselves name only the fragment. */
  remember(holder: EndpointId, digest: Digest, grant: Grant): void;
  grantOf(holder: EndpointId, digest: Digest): Grant | undefined;
  /** The grant was used up: what is said of it again counts for nothing. */
  forget(holder: EndpointId, digest: Digest): void;
  traffic(): readonly TrafficRecord[];
  flush(nowMs: number): Promise<void>;
}

interface Gate extends GatePlace {
  readonly state: GateState;
  readonly wan: Record<WanReason, number>;
  readonly sentTo: Map<EndpointId, Sent>;
  originBytes: number;
  /** Of these, what plain origins sent. */
  plainBytes: number;
  isChanged: boolean;
}

// A transfer may outlive its lease; a grant is forgotten only long after.
const GRANT_MEMORY_MS = 600_000;
/** An endpoint that was wiped on purpose gets the package again the next day at the latest. */
const BUDGET_WINDOW_MS = 86_400_000;

export function openGateBook(records: Records, now: () => number): GateBook {
  const gates = new Map<string, Gate>();
  const grants = new Map<string, Grant>();
  for (const record of records.all(TABLES.traffic)) gates.set(keyOf(record), gateOf(record));

  function gateAt(place: GatePlace): Gate {
    const known = gates.get(keyOf(place));
    if (known !== undefined) return known;
    const made = newGateAt(place);
    gates.set(keyOf(place), made);
    return made;
  }

  return {
    send: (place, event, nowMs) => {
      const gate = gateAt(place);
      const answer = step(gate.state, event, nowMs);
      gate.isChanged ||= marksServed(event) || gate.state.forcedBudget.count > 0;
      return answer;
    },
    reasonOf: (place, index, force) => {
      const isForced = gateAt(place).state.forcedLeases.has(index);
      return isForced ? (force ?? "refetched") : "lease";
    },
    addOriginBytes: (holder, grant, sizeBytes) => {
      const gate = gateAt(grant);
      count(gate, grant.reason, sizeBytes);
      if (grant.isPlain === true) gate.plainBytes += sizeBytes;
      sentIn(gate, holder, now()).sizeBytes += sizeBytes;
    },
    lostOriginBytes: (grant, sizeBytes) => {
      const gate = gateAt(grant);
      count(gate, grant.reason, -sizeBytes);
      count(gate, "broken", sizeBytes);
    },
    keptOriginBytes: (grant, sizeBytes) => {
      const gate = gateAt(grant);
      const keptBytes = Math.min(sizeBytes, gate.wan.broken);
      count(gate, "broken", -keptBytes);
      count(gate, grant.reason, keptBytes);
    },
    isOverBudget: (place, holder, wireBytes, nowMs) =>
      sentIn(gateAt(place), holder, nowMs).sizeBytes > budgetBytes(wireBytes),
    remember: (holder, digest, grant) => grants.set(`${holder}/${digest}`, grant),
    grantOf: (holder, digest) => grants.get(`${holder}/${digest}`),
    forget: (holder, digest) => void grants.delete(`${holder}/${digest}`),
    traffic: () => [...gates.values()].map(recordOf),
    flush: async (nowMs) => {
      for (const [key, grant] of grants) {
        if (nowMs - grant.expiresMs > GRANT_MEMORY_MS) grants.delete(key);
      }
      const due = [...gates.values()].filter(({ isChanged }) => isChanged);
      for (const gate of due) gate.isChanged = false;
      await records.change(() => ({
        changes: due.map((gate) => setRecord(TABLES.traffic, keyOf(gate), recordOf(gate))),
        result: undefined,
      }));
    },
  };
}

function newGateAt({ site, manifest }: GatePlace): Gate {
  const sums = { wan: { ...NO_WAN_BYTES }, originBytes: 0, plainBytes: 0 };
  return { site, manifest, state: newGate(), ...sums, sentTo: new Map(), isChanged: true };
}

function marksServed(event: GateEvent): boolean {
  return event.type === "request" ? (event.done ?? []).length > 0 : event.type === "served";
}

function count(gate: Gate, reason: WanReason, sizeBytes: number): void {
  gate.originBytes += sizeBytes;
  gate.wan[reason] += sizeBytes;
  gate.isChanged = true;
}

function sentIn(gate: Gate, holder: EndpointId, nowMs: number): Sent {
  const known = gate.sentTo.get(holder);
  if (known !== undefined && nowMs - known.sinceMs < BUDGET_WINDOW_MS) return known;
  const fresh: Sent = { sinceMs: nowMs, sizeBytes: 0 };
  gate.sentTo.set(holder, fresh);
  return fresh;
}

function keyOf({ site, manifest }: GatePlace): string {
  return `${site}/${manifest}`;
}

function recordOf({ site, manifest, state, wan, originBytes, plainBytes }: Gate): TrafficRecord {
  return {
    site,
    manifest,
    originBytes,
    ...(plainBytes === 0 ? {} : { plainBytes }),
    wan: { ...wan },
    holders: [...state.holders],
    served: [...state.served].map(([place, page]) => [place, pageText(page)]),
    forced: { ...state.forced },
  };
}

function gateOf(record: TrafficRecord): Gate {
  const served = record.served.map(([place, text]) => [place, pageOf(text)] as const);
  const { site, manifest, originBytes, plainBytes = 0, holders, forced } = record;
  const ordinals = new Map(holders.map((holder, at) => [holder, at + 1]));
  const kept = { holders: [...holders], ordinals, forced: { ...forced }, served: new Map(served) };
  const state = { ...newGate(), ...kept };
  const wan = { ...(record.wan ?? wanBefore(originBytes)) };
  const sums = { originBytes, plainBytes, wan, sentTo: new Map() };
  return { site, manifest, ...sums, state, isChanged: false };
}

// Records of before reasons were kept.
function wanBefore(originBytes: number): WanBytes {
  return { ...NO_WAN_BYTES, lease: originBytes };
}

function pageText(page: Uint16Array): string {
  const bytes = Buffer.alloc(page.length * 2);
  page.forEach((ordinal, at) => bytes.writeUInt16LE(ordinal, at * 2));
  return bytes.toString("base64");
}

function pageOf(text: string): Uint16Array {
  const bytes = Buffer.from(text, "base64");
  return Uint16Array.from({ length: bytes.length / 2 }, (_none, at) => bytes.readUInt16LE(at * 2));
}
