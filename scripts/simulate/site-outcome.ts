/** The figures of one simulated site: the two ratios, and what explains them. */
import type { ForceReason } from "../../protocol/lease.ts";
import { START_MS } from "./event-queue.ts";
import type { SiteCourse } from "./site-course.ts";
import { SiteSimulation } from "./site-simulation.ts";

export interface SiteOutcome {
  /** Last fragment of the last node, after the first lease request; laptops that were away left out. */
  readonly timeMs: number;
  /** The best possible: package ÷ (goodput of the WAN line), or of one LAN port where all is on the DP. */
  readonly floorMs: number;
  readonly timeRatio: number;
  readonly medianTimeRatio: number;
  readonly wanBytes: number;
  readonly wanRatio: number;
  /** Bytes ÷ package that the busiest node, and the DP, sent on the LAN. */
  readonly busiestUpload: number;
  readonly dpUpload: number;
  readonly forced: Readonly<Record<ForceReason, number>>;
  readonly leaseMessages: number;
  readonly fragmentRequests: number;
  /** Fragments sent again over the WAN. */
  readonly extraFragments: number;
  readonly bans: number;
  readonly unfinished: number;
  /** Longest time that a laptop needed after its return. */
  readonly catchUpMs: number;
  readonly events: number;
}

export function simulateSite(course: SiteCourse): SiteOutcome {
  const site = new SiteSimulation(course);
  site.run();
  return outcomeOf(site, course);
}

export function outcomeOf(site: SiteSimulation, course: SiteCourse): SiteOutcome {
  const { origin, returnedMs, queue } = site;
  const { sizeBytes } = course.shape;
  const nodes = [...site.nodes.values()];
  const firstMs = origin.gate.firstMs ?? START_MS;
  const steady = nodes
    .filter(
      ({ id, casting }) => !returnedMs.has(id) && !casting.hasPackage && casting.corruptShare === 0,
    )
    .flatMap(({ completeMs }) => (completeMs === undefined ? [] : [completeMs - firstMs]))
    .toSorted((a, b) => a - b);
  const isStuck = site.unfinished().some((id) => !returnedMs.has(id));
  const timeMs = isStuck ? queue.nowMs - firstMs : (steady.at(-1) ?? 0);
  const isOnLan = course.cast.some(({ hasPackage }) => hasPackage);
  const portBytesPerMs = Math.max(
    ...course.cast.map(({ downloadBytesPerMs }) => downloadBytesPerMs),
  );
  const floorMs = sizeBytes / (isOnLan ? portBytesPerMs : course.wanBytesPerMs);
  const uploads = nodes.map(({ uploadedBytes }) => uploadedBytes / sizeBytes);
  const dps = nodes.filter(({ casting }) => casting.place.role === "dp");
  const catchUps = nodes.flatMap(({ id, completeMs }) => {
    const backMs = returnedMs.get(id);
    return backMs === undefined || completeMs === undefined ? [] : [completeMs - backMs];
  });
  return {
    timeMs,
    floorMs,
    timeRatio: timeMs / floorMs,
    medianTimeRatio: (steady[Math.floor(steady.length / 2)] ?? 0) / floorMs,
    wanBytes: origin.line.carriedBytes,
    wanRatio: origin.line.carriedBytes / sizeBytes,
    busiestUpload: Math.max(0, ...uploads),
    dpUpload: Math.max(0, ...dps.map(({ uploadedBytes }) => uploadedBytes / sizeBytes)),
    forced: { ...origin.gate.forced },
    leaseMessages: origin.leaseCount,
    fragmentRequests: origin.fetchCount,
    extraFragments: origin.copies.reduce((sum, copies) => sum + Math.max(0, copies - 1), 0),
    bans: site.banCount,
    unfinished: site.unfinished().length,
    catchUpMs: Math.max(0, ...catchUps),
    events: queue.count,
  };
}
