/**
 * How many peers are served side by side. A slow port that serves eight at once gives each its fragment eight
 * times as late, and what waits before it holds up the requests and acknowledgements of this node's own
 * downloads; one after the other is as much in sum. Where the peers are slow and not the port, more at once is
 * more in sum: that is tried now and then.
 */

const FIRST_WIDTH = 1;
/** One more while every peer gets this much, in bytes per second. */
const QUICK_RATE = 1_000_000;
/** Half as many where a peer gets less than this. */
const SLOW_RATE = 64_000;
/** What each should get of a port that is the limit: about a fragment in a second. */
const FAIR_RATE = 250_000;
/** Whoever is served beside twice as many gets half of the rate if the port is the limit, all of it if not. */
const SAME_RATE_SHARE = 0.75;
const TRY_EVERY_MS = 10_000;
/** What a trial has shown holds for so long. */
const PROVEN_MS = 60_000;
/** Answers of less than this in sum say nothing: the system's own buffers take them at once. */
const SAMPLE_BYTES = 512_000;
const SAMPLE_MIN_COUNT = 2;

/** One answer, from its first byte to the moment at which the system had taken the last. */
export interface Sending {
  readonly sizeBytes: number;
  readonly beganMs: number;
}

export class UploadWidth {
  private readonly most: number;
  private width = FIRST_WIDTH;
  private changedMs = Number.NEGATIVE_INFINITY;
  private sample = NO_SAMPLE;
  /** The trial that is under way: what it began from. */
  private trial: { readonly width: number; readonly rate: number } | undefined;
  private nextTrialMs = Number.NEGATIVE_INFINITY;
  private provenUntilMs = Number.NEGATIVE_INFINITY;

  constructor(most: number) {
    this.most = most;
  }

  get count(): number {
    return this.width;
  }

  /** An answer ended while others waited for their turn: where nobody waits, the width is not used. */
  sent({ sizeBytes, beganMs }: Sending, nowMs: number): void {
    if (beganMs < this.changedMs) return;
    const count = this.sample.count + 1;
    const bytes = this.sample.bytes + sizeBytes;
    const ms = this.sample.ms + nowMs - beganMs;
    this.sample = { count, bytes, ms };
    if (bytes < SAMPLE_BYTES || count < SAMPLE_MIN_COUNT) return;
    this.sample = NO_SAMPLE;
    this.judge((bytes * 1000) / Math.max(ms, 1), nowMs);
  }

  private judge(rate: number, nowMs: number): void {
    const { trial, width } = this;
    this.trial = undefined;
    if (rate >= QUICK_RATE) {
      this.change(width + 1, nowMs);
    } else if (trial !== undefined) {
      const isPort = rate < trial.rate * SAME_RATE_SHARE;
      const fair = Math.floor((trial.rate * trial.width) / FAIR_RATE);
      if (isPort) this.change(Math.min(trial.width, fair), nowMs);
      else this.provenUntilMs = nowMs + PROVEN_MS;
      this.nextTrialMs = isPort ? nowMs + TRY_EVERY_MS : nowMs;
    } else if (width > 1 && rate < SLOW_RATE && nowMs >= this.provenUntilMs) {
      this.change(Math.floor(width / 2), nowMs);
    } else if (nowMs >= this.nextTrialMs && width < this.most) {
      this.trial = { width, rate };
      this.change(width * 2, nowMs);
    }
  }

  private change(width: number, nowMs: number): void {
    this.width = Math.min(Math.max(width, 1), this.most);
    this.changedMs = nowMs;
  }
}

const NO_SAMPLE = { count: 0, bytes: 0, ms: 0 };
