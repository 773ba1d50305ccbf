/**
 * Refusals become reports; the same one is told once in ten minutes, however often it happens.
 */
import { randomUUID } from "node:crypto";
import type { EndpointId } from "../../protocol/ids.ts";
import type { RefusalReport } from "../../protocol/report.ts";
import type { Refusal } from "../content/ports.ts";

const SILENCE_MS = 600_000;
/** Distinct refusals that are remembered; a liar makes up new details at will. */
const REMEMBERED_COUNT = 1000;
const DETAIL_MAX_CHARACTERS = 2000;

export class RefusalDesk {
  readonly #endpoint: EndpointId;
  readonly #now: () => number;
  /** When each was told last, oldest first. */
  readonly #toldMs = new Map<string, number>();

  constructor(endpoint: EndpointId, now: () => number) {
    this.#endpoint = endpoint;
    this.#now = now;
  }

  /** The report, or undefined where the same was told just now. */
  reportOf(refusal: Refusal): RefusalReport | undefined {
    const nowMs = this.#now();
    const key = `${refusal.code} ${refusal.detail}`;
    const toldMs = this.#toldMs.get(key);
    if (toldMs !== undefined && nowMs - toldMs < SILENCE_MS) return undefined;
    this.#toldMs.delete(key);
    this.#toldMs.set(key, nowMs);
    const [oldest] = this.#toldMs.keys();
    if (this.#toldMs.size > REMEMBERED_COUNT && oldest !== undefined) this.#toldMs.delete(oldest);
    return {
      ...refusal,
      kind: "refusal",
      id: randomUUID(),
      endpoint: this.#endpoint,
      detail: refusal.detail.slice(0, DETAIL_MAX_CHARACTERS).toWellFormed(),
      atMs: nowMs,
    };
  }
}
