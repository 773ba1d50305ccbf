/**
 * Many sites as fluid: each takes what its line carries, and all share the origin max-min fair. Knows
 * nothing of fragments; what the sample of simulated sites adds is put on top by the caller.
 */

export interface FluidSite {
  readonly startMs: number;
  readonly sizeBytes: number;
  readonly lineBytesPerMs: number;
}

interface Flow {
  readonly at: number;
  readonly lineBytesPerMs: number;
  leftBytes: number;
  bytesPerMs: number;
}

/**
 * When each site has all its bytes. Rates are worked out anew at every start and end; with `minStepMs`
 * starts and ends that lie closer together are taken together, which makes starts late by as much.
 */
export function shareOrigin(
  sites: readonly FluidSite[],
  originBytesPerMs: number,
  minStepMs = 0,
): readonly number[] {
  const ends = sites.map(({ startMs }) => startMs);
  const waiting = sites
    .map((site, at) => ({ ...site, at }))
    .toSorted((one, other) => one.startMs - other.startMs);
  let flows: Flow[] = [];
  let nowMs = waiting[0]?.startMs ?? 0;
  let begun = 0;
  while (begun < waiting.length || flows.length > 0) {
    for (; (waiting[begun]?.startMs ?? Infinity) <= nowMs; begun++) {
      const site = waiting[begun];
      if (site === undefined) break;
      const { at, lineBytesPerMs, sizeBytes } = site;
      insert(flows, { at, lineBytesPerMs, leftBytes: sizeBytes, bytesPerMs: 0 });
    }
    setRates(flows, originBytesPerMs);
    const untilEndMs = Math.max(timeToFirstEnd(flows), minStepMs);
    const untilStartMs = (waiting[begun]?.startMs ?? Infinity) - nowMs;
    const stepMs = Math.min(untilEndMs, Math.max(untilStartMs, minStepMs));
    flows = advance(flows, nowMs, stepMs, ends);
    nowMs += stepMs;
  }
  return ends;
}

/** Rates of lines that share one source max-min fair; `lines` ascending. */
export function maxMinRates(lines: readonly number[], source: number): readonly number[] {
  let left = source;
  return lines.map((line, at) => {
    const rate = Math.min(line, left / (lines.length - at));
    left -= rate;
    return rate;
  });
}

// Flows stay in the order of their lines: the slowest are satisfied first.
function insert(flows: Flow[], flow: Flow): void {
  let low = 0;
  let high = flows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((flows[middle]?.lineBytesPerMs ?? 0) < flow.lineBytesPerMs) low = middle + 1;
    else high = middle;
  }
  flows.splice(low, 0, flow);
}

function setRates(flows: readonly Flow[], source: number): void {
  const rates = maxMinRates(
    flows.map(({ lineBytesPerMs }) => lineBytesPerMs),
    source,
  );
  for (const [at, flow] of flows.entries()) flow.bytesPerMs = rates[at] ?? 0;
}

function timeToFirstEnd(flows: readonly Flow[]): number {
  let firstMs = Infinity;
  for (const { leftBytes, bytesPerMs } of flows) {
    firstMs = Math.min(firstMs, leftBytes / bytesPerMs);
  }
  return firstMs;
}

function advance(flows: readonly Flow[], nowMs: number, stepMs: number, ends: number[]): Flow[] {
  return flows.filter((flow) => {
    const neededMs = flow.leftBytes / flow.bytesPerMs;
    flow.leftBytes -= flow.bytesPerMs * stepMs;
    // Less than a byte is what sums of fractions leave behind.
    if (flow.leftBytes > 0.5) return true;
    ends[flow.at] = nowMs + Math.min(neededMs, stepMs);
    return false;
  });
}
