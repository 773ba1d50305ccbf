/**
 * Whether a package that a peer names, and that this node has no order for, is worth a check-in. The first time
 * it is; later only now and then: a deployment to some of a site is often followed by one to the rest.
 */
import type { SwarmTag } from "../../protocol/ids.ts";

/** Until the same package is news again; doubles each time. */
const FIRST_WAIT_MS = 10_000;
const MAX_WAIT_MS = 3_600_000;
/** Packages that are remembered; the one heard of first is forgotten first. */
const MAX_COUNT = 1000;

interface Heard {
  readonly quietUntilMs: number;
  readonly waitMs: number;
}

export class PackageNews {
  readonly #heard = new Map<SwarmTag, Heard>();

  isNews(swarm: SwarmTag, nowMs: number): boolean {
    const before = this.#heard.get(swarm);
    if (before !== undefined && nowMs < before.quietUntilMs) return false;
    const waitMs = Math.min((before?.waitMs ?? FIRST_WAIT_MS / 2) * 2, MAX_WAIT_MS);
    this.#heard.set(swarm, { quietUntilMs: nowMs + waitMs, waitMs });
    const [oldest] = this.#heard.keys();
    if (this.#heard.size > MAX_COUNT && oldest !== undefined) this.#heard.delete(oldest);
    return true;
  }
}
