/**
 * The lines of all sites: every byte of a package passes its site's line, so a site's transfers share one rate,
 * whoever receives them (distribution 5.6).
 */
import type { SitePolicy } from "../../protocol/traffic.ts";
import { PacedLine, type LineSeen } from "./paced-line.ts";

export interface LineBook {
  /** A transfer into the site begins; dispose of it at its end. */
  open(site: string): LineTransfer;
  /** One measured round trip of a prober of the site. */
  sample(site: string, prober: string, rttMs: number): void;
  /** How long a probe is held, undefined where the site's line needs none now. */
  probeEveryMs(site: string, prober: string): number | undefined;
  /** What the controller found; undefined where none is at work. */
  seen(site: string): LineSeen | undefined;
}

export type LineTransfer = Pick<PacedLine, "take" | "paceBytes"> & Disposable;

export interface LineBookSettings {
  readonly policyOf: (site: string) => SitePolicy | undefined;
  /** Milliseconds that never jump. */
  readonly nowMs: () => number;
}

/** Probes of the whole fleet per second: a tenth of one core. */
const PROBES_PER_SEC_MAX = 500;

export function openLineBook({ policyOf, nowMs }: LineBookSettings): LineBook {
  const lines = new Map<string, PacedLine>();

  function lineOf(site: string): PacedLine {
    const known = lines.get(site);
    if (known !== undefined) return known;
    const made = new PacedLine({ policy: () => policyOf(site), nowMs });
    lines.set(site, made);
    return made;
  }

  function probedCount(): number {
    let count = 0;
    for (const { isProbed } of lines.values()) if (isProbed) count++;
    return count;
  }

  return {
    open: (site) => {
      const line = lineOf(site);
      line.begin();
      return {
        take: async (sizeBytes, signal) => line.take(sizeBytes, signal),
        paceBytes: () => line.paceBytes(),
        [Symbol.dispose]: () => line.end(),
      };
    },
    sample: (site, prober, rttMs) => lineOf(site).sample(prober, rttMs),
    probeEveryMs: (site, prober) => {
      const ownMs = lineOf(site).probeEveryMs(prober);
      if (ownMs === undefined) return undefined;
      // With very many busy sites each is measured less often.
      return Math.max(ownMs, (probedCount() * 1000) / PROBES_PER_SEC_MAX);
    },
    seen: (site) => lines.get(site)?.seen,
  };
}
