/**
 * All lease gates, one per site and manifest, with the bytes the origin sent. Served marks and sums are
 * written to the store every few seconds, so that a restart does not send a package again.
 */
import {
  newGate,
  step,
  type GateAnswer,
  type GateEvent,
  type GateState,
} from "../core/lease-gate.ts";
import type { Digest, EndpointId } from "../../protocol/ids.ts";
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
}

export interface GateBook {
  send(place: GatePlace, event: GateEvent, nowMs: number): GateAnswer;
  addOriginBytes(place: GatePlace, sizeBytes: number): void;
  /** What a granted token stands for; tokens themselves name only the fragment. */
  remember(holder: EndpointId, digest: Digest, grant: Grant): void;
  grantOf(holder: EndpointId, digest: Digest): Grant | undefined;
  traffic(): readonly TrafficRecord[];
  flush(nowMs: number): Promise<void>;
}

interface Gate extends GatePlace {
  readonly state: GateState;
  originBytes: number;
  isChanged: boolean;
}

// A transfer may outlive its lease; a grant is forgotten only long after.
const GRANT_MEMORY_MS = 600_000;

export function openGateBook(records: Records): GateBook {
  const gates = new Map<string, Gate>();
  const grants = new Map<string, Grant>();
  for (const record of records.all(TABLES.traffic)) gates.set(keyOf(record), gateOf(record));

  function gateAt(place: GatePlace): Gate {
    const known = gates.get(keyOf(place));
    if (known !== undefined) return known;
    const { site, manifest } = place;
    const made: Gate = { site, manifest, state: newGate(), originBytes: 0, isChanged: true };
    gates.set(keyOf(place), made);
    return made;
  }

  return {
    send: (place, event, nowMs) => {
      const gate = gateAt(place);
      const answer = step(gate.state, event, nowMs);
      gate.isChanged ||= event.type === "served" || gate.state.forcedMs.length > 0;
      return answer;
    },
    addOriginBytes: (place, sizeBytes) => {
      const gate = gateAt(place);
      gate.originBytes += sizeBytes;
      gate.isChanged = true;
    },
    remember: (holder, digest, grant) => grants.set(`${holder}/${digest}`, grant),
    grantOf: (holder, digest) => grants.get(`${holder}/${digest}`),
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

function keyOf({ site, manifest }: GatePlace): string {
  return `${site}/${manifest}`;
}

function recordOf({ site, manifest, state, originBytes }: Gate): TrafficRecord {
  return {
    site,
    manifest,
    originBytes,
    holders: [...state.holders],
    served: [...state.served].map(([place, page]) => [place, pageText(page)]),
    forced: { ...state.forced },
  };
}

function gateOf(record: TrafficRecord): Gate {
  const served = record.served.map(([place, text]) => [place, pageOf(text)] as const);
  const { site, manifest, originBytes, holders, forced } = record;
  const ordinals = new Map(holders.map((holder, at) => [holder, at + 1]));
  const kept = { holders: [...holders], ordinals, forced: { ...forced }, served: new Map(served) };
  const state = { ...newGate(), ...kept };
  return { site, manifest, originBytes, state, isChanged: false };
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
