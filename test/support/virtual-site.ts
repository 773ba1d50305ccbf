/**
 * A site for the laws of the scheduler: the simulator's engine with a gate, a line of ten fragments a
 * second, and faults by endpoint.
 */
import { packageShape } from "../../scripts/simulate/package-shape.ts";
import { SiteSimulation } from "../../scripts/simulate/site-simulation.ts";
import type { EndpointId } from "../../protocol/ids.ts";

export interface SiteFaults {
  readonly deadAtMs: ReadonlyMap<EndpointId, number>;
  /** Has everything and sends wrong bytes. */
  readonly corrupt: ReadonlySet<EndpointId>;
  /** Claims everything and never answers. */
  readonly silent: ReadonlySet<EndpointId>;
}

const FRAGMENT_BYTES = 100_000;
const WAN_BYTES_PER_MS = 1000;
const LAN_BYTES_PER_MS = 10_000;
const LIMIT_MS = 240_000;

export class VirtualSite {
  private readonly simulation: SiteSimulation;
  private readonly pageCount: number;

  constructor(
    ids: readonly EndpointId[],
    count: number,
    hasDp: boolean,
    seed: number,
    faults: SiteFaults,
  ) {
    const dp = hasDp ? ids[0] : undefined;
    const siteSize = ids.length;
    const shape = packageShape(count * FRAGMENT_BYTES, FRAGMENT_BYTES);
    this.pageCount = shape.pageCount;
    this.simulation = new SiteSimulation({
      shape,
      wanBytesPerMs: WAN_BYTES_PER_MS,
      wanLatencyMs: 5,
      lanLatencyMs: 1,
      cast: ids.map((id, at) => ({
        id,
        place:
          id === dp
            ? { role: "dp", dp: undefined, rank: 0, siteSize }
            : { role: "agent", dp, rank: hasDp ? at - 1 : at, siteSize },
        startMs: 0,
        uploadBytesPerMs: LAN_BYTES_PER_MS,
        downloadBytesPerMs: LAN_BYTES_PER_MS,
        corruptShare: faults.corrupt.has(id) ? 1 : 0,
        isSilent: faults.silent.has(id),
        hasPackage: faults.corrupt.has(id),
        seed: seed + at,
      })),
      incidents: [],
      seed: seed >>> 0,
      limitMs: LIMIT_MS,
    });
    for (const [who, atMs] of faults.deadAtMs) {
      this.simulation.plan({ atFraction: 0, kind: "kill", who, awayMs: 0 }, atMs);
    }
  }

  run(limitMs: number): void {
    this.simulation.run(limitMs);
  }

  /** Live nodes that lack something. */
  missing(): readonly EndpointId[] {
    return this.simulation.unfinished();
  }

  /** How often each content fragment was sent over the WAN. */
  originCopies(): readonly number[] {
    return [...this.simulation.origin.copies].slice(this.pageCount);
  }

  /** Fragments that the gate granted although the site had them or was fetching them. */
  forcedCount(): number {
    const { forced } = this.simulation.origin.gate;
    return forced.holderUnreachable + forced.noProgress;
  }
}
