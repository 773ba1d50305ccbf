/**
 * A rented line in virtual time: a rate, a way, a queue of limited depth; beside the traffic under test one
 * flow of somebody else can use it. A fluid model: good for judging a controller, not for milliseconds.
 */
import {
  isSearching,
  newRate,
  stepRate,
  type RateState,
} from "../../coordinator/core/line/background-rate.ts";

export type FlowKind = "loss" | "rate";

export interface LineOptions {
  readonly bytesPerSec: number;
  /** Round trip without a queue. */
  readonly baseMs: number;
  /** Longest queue; what does not fit is lost. */
  readonly depthMs: number;
}

/** Somebody else who uses the line. */
interface Flow {
  /** What it sends now. */
  rate(rttMs: number, nowMs: number): number;
  /** What became of it. */
  took(outcome: FlowOutcome): void;
}

interface FlowOutcome {
  readonly deliveredBytesPerSec: number;
  readonly isFull: boolean;
  readonly rttMs: number;
  readonly nowMs: number;
  readonly stepMs: number;
}

export class SlowLine {
  readonly options: LineOptions;
  queueMs = 0;
  foregroundBytes = 0;
  backgroundBytes = 0;
  private flow: Flow | undefined;

  constructor(options: LineOptions) {
    this.options = options;
  }

  get rttMs(): number {
    return this.options.baseMs + this.queueMs;
  }

  get isForegroundOn(): boolean {
    return this.flow !== undefined;
  }

  /** A flow begins, goes on, or ends. */
  use(kind: FlowKind | undefined): void {
    if (kind === undefined) this.flow = undefined;
    else this.flow ??= kind === "loss" ? new LossFlow() : new RateFlow(this.options.bytesPerSec);
  }

  /** One step of `stepMs` in which `backgroundBytesPerSec` come in beside the other flow. */
  advance(backgroundBytesPerSec: number, nowMs: number, stepMs: number): void {
    const { bytesPerSec, depthMs } = this.options;
    const { rttMs } = this;
    const foreground = this.flow?.rate(rttMs, nowMs) ?? 0;
    const arriving = foreground + backgroundBytesPerSec;
    const offered = arriving + (this.queueMs * bytesPerSec) / stepMs;
    const carried = arriving === 0 ? 0 : Math.min(bytesPerSec, offered) / arriving;
    this.foregroundBytes += (carried * foreground * stepMs) / 1000;
    this.backgroundBytes += (carried * backgroundBytesPerSec * stepMs) / 1000;
    const queueMs = Math.max(0, this.queueMs + (arriving / bytesPerSec - 1) * stepMs);
    this.queueMs = Math.min(queueMs, depthMs);
    const isFull = queueMs > depthMs;
    const deliveredBytesPerSec = Math.min(carried, 1) * foreground;
    this.flow?.took({ deliveredBytesPerSec, isFull, rttMs, nowMs, stepMs });
  }
}

const MSS_BYTES = 1448;
/** What CUBIC keeps of its window after a loss. */
const LOSS_SHARE = 0.7;

/** Fills the queue until it overflows, as Reno and CUBIC do. */
class LossFlow implements Flow {
  private windowBytes = 10 * MSS_BYTES;
  private isSlowStart = true;
  private lastLossMs = Number.NEGATIVE_INFINITY;

  rate(rttMs: number): number {
    return (this.windowBytes / rttMs) * 1000;
  }

  took({ isFull, rttMs, nowMs, stepMs }: FlowOutcome): void {
    if (!isFull) {
      const roundTrips = stepMs / rttMs;
      this.windowBytes *= this.isSlowStart ? 2 ** roundTrips : 1;
      if (!this.isSlowStart) this.windowBytes += MSS_BYTES * roundTrips;
      return;
    }
    // One loss per round trip is one signal.
    if (nowMs - this.lastLossMs < rttMs) return;
    this.lastLossMs = nowMs;
    this.isSlowStart = false;
    this.windowBytes = Math.max(2 * MSS_BYTES, this.windowBytes * LOSS_SHARE);
  }
}

const PROBE_GAINS = [1.25, 0.75, 1, 1, 1, 1, 1, 1];
const START_GAIN = 2;
/** The shortest round trip is believed for this long. */
const RTT_MIN_LIFE_MS = 10_000;

/** Sends at the best rate that came through of late and keeps the queue short, as BBR does. */
class RateFlow implements Flow {
  private bestBytesPerSec: number;
  private rttMinMs = Number.POSITIVE_INFINITY;
  private rttMinAtMs = 0;
  private seen: { readonly atMs: number; readonly bytesPerSec: number }[] = [];
  private phase = 0;
  private phaseMs = Number.NEGATIVE_INFINITY;
  private isStarting = true;

  constructor(bytesPerSec: number) {
    this.bestBytesPerSec = bytesPerSec / 20;
  }

  rate(rttMs: number, nowMs: number): number {
    const isOld = nowMs - this.rttMinAtMs > RTT_MIN_LIFE_MS;
    if (isOld || rttMs <= this.rttMinMs) {
      this.rttMinMs = rttMs;
      this.rttMinAtMs = nowMs;
    }
    if (nowMs - this.phaseMs > rttMs) {
      this.phaseMs = nowMs;
      this.phase = (this.phase + 1) % PROBE_GAINS.length;
    }
    const gain = this.isStarting ? START_GAIN : (PROBE_GAINS[this.phase] ?? 1);
    // At most two round trips without a queue are on their way.
    const windowBytes = Math.max((2 * this.bestBytesPerSec * this.rttMinMs) / 1000, 4 * MSS_BYTES);
    const leastBytesPerSec = (4 * MSS_BYTES * 1000) / rttMs;
    const paced = Math.max(gain * this.bestBytesPerSec, leastBytesPerSec);
    return Math.min(paced, (windowBytes * 1000) / rttMs);
  }

  took({ deliveredBytesPerSec, rttMs, nowMs }: FlowOutcome): void {
    this.seen.push({ atMs: nowMs, bytesPerSec: deliveredBytesPerSec });
    this.seen = this.seen.filter(({ atMs }) => nowMs - atMs <= Math.max(10 * rttMs, 100));
    const best = Math.max(...this.seen.map(({ bytesPerSec }) => bytesPerSec));
    this.isStarting &&= best > this.bestBytesPerSec || this.seen.length < 20;
    this.bestBytesPerSec = best;
  }
}

export interface Drive {
  readonly line: LineOptions;
  readonly seconds: number;
  /** Whether somebody else's flow sends at this second. */
  readonly foreground?: (second: number) => boolean;
  /** How that flow finds its rate; by loss unless said otherwise. */
  readonly flow?: FlowKind;
  /** Milliseconds that a probe takes longer than the line, by its number. */
  readonly noiseMs?: (count: number) => number;
  /** Seconds that are left out of the figures, for the start. */
  readonly warmUpSeconds?: number;
}

export interface DriveFigures {
  /** Share of the line that the background traffic got while nobody else used it. */
  readonly idleShare: number;
  readonly queueMeanMs: number;
  /** Share of the line that the other flow got while it sent. */
  readonly foregroundShare: number;
  readonly rateMinBytesPerSec: number;
  readonly state: RateState;
}

const STEP_MS = 5;

/** Runs the controller on a line, with probes as the coordinator asks for them. */
export function driveLine(drive: Drive): DriveFigures {
  const { seconds, foreground, noiseMs, warmUpSeconds = 0 } = drive;
  const line = new SlowLine(drive.line);
  const state = newRate();
  const probes = new Probes(line, noiseMs ?? (() => 0));
  const sums = new LineSums(drive.line.bytesPerSec);
  stepRate(state, { type: "begin" }, 0);
  for (let nowMs = 0; nowMs < seconds * 1000; nowMs += STEP_MS) {
    line.use(foreground?.(nowMs / 1000) === true ? (drive.flow ?? "loss") : undefined);
    line.advance(state.rateBytesPerSec, nowMs, STEP_MS);
    sums.add(line, state, nowMs >= warmUpSeconds * 1000 ? STEP_MS : 0);
    for (const rttMs of probes.due(nowMs, isSearching(state) ? 100 : 200)) {
      const usedBytesPerSec = state.rateBytesPerSec;
      stepRate(state, { type: "sample", prober: "one", rttMs, usedBytesPerSec }, nowMs);
    }
    if (nowMs % 1000 === 0) stepRate(state, { type: "tick" }, nowMs);
  }
  return { ...sums.figures(), state };
}

/** One probe after the other, each answered after what it took. */
class Probes {
  private readonly line: SlowLine;
  private readonly noiseMs: (count: number) => number;
  private readonly flying: { readonly endMs: number; readonly rttMs: number }[] = [];
  private count = 0;
  private nextMs = 0;

  constructor(line: SlowLine, noiseMs: (count: number) => number) {
    this.line = line;
    this.noiseMs = noiseMs;
  }

  *due(nowMs: number, everyMs: number): Generator<number> {
    if (nowMs >= this.nextMs) {
      const rttMs = this.line.rttMs + this.noiseMs(this.count++);
      this.flying.push({ endMs: nowMs + rttMs, rttMs });
      this.nextMs = nowMs + Math.max(rttMs, everyMs);
    }
    for (;;) {
      const [first] = this.flying;
      if (first === undefined || first.endMs > nowMs) return;
      this.flying.shift();
      yield first.rttMs;
    }
  }
}

class LineSums {
  private readonly bytesPerSec: number;
  private last = { foreground: 0, background: 0 };
  private readonly idle = { bytes: 0, ms: 0, queueMs: 0 };
  private readonly busy = { bytes: 0, ms: 0 };
  private rateMinBytesPerSec = Number.POSITIVE_INFINITY;

  constructor(bytesPerSec: number) {
    this.bytesPerSec = bytesPerSec;
  }

  /** With `stepMs` 0 nothing counts, as during the warm-up. */
  add(line: SlowLine, { rateBytesPerSec }: RateState, stepMs: number): void {
    this.rateMinBytesPerSec = Math.min(this.rateMinBytesPerSec, rateBytesPerSec);
    const isCounted = stepMs > 0;
    if (line.isForegroundOn) {
      this.busy.bytes += isCounted ? line.foregroundBytes - this.last.foreground : 0;
      this.busy.ms += stepMs;
    } else {
      this.idle.bytes += isCounted ? line.backgroundBytes - this.last.background : 0;
      this.idle.ms += stepMs;
      this.idle.queueMs += line.queueMs * stepMs;
    }
    this.last = { foreground: line.foregroundBytes, background: line.backgroundBytes };
  }

  figures(): Omit<DriveFigures, "state"> {
    const share = ({ bytes, ms }: { readonly bytes: number; readonly ms: number }): number =>
      (bytes / Math.max(ms, 1) / this.bytesPerSec) * 1000;
    return {
      idleShare: share(this.idle),
      queueMeanMs: this.idle.queueMs / Math.max(this.idle.ms, 1),
      foregroundShare: share(this.busy),
      rateMinBytesPerSec: this.rateMinBytesPerSec,
    };
  }
}
