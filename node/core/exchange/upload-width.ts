/**
 * How many peers are served side by side. A slow port that serves eight at once gives each its fragment eight
 * times as late, and what waits before it holds up the requests and acknowledgements of this node's own
 * downloads; one after the other is as much in sum. Where the peers are slow and not the port, more at once is
 * more in sum: a trial shows which it is.
 */

const FIRST_WIDTH = 4;
/** Twice as many while every peer gets this much, in bytes per second. */
const QUICK_RATE = 1_000_000;
/** Half as many are tried where a peer gets less than this: a fragment should not need more than a second. */
const FAIR_RATE = 250_000;
/** Served beside half as many others, a peer gets twice the rate if the port is the limit, the same if not. */
const PORT_FACTOR = 1.33;
const TRY_EVERY_MS = 10_000;
/** What a trial has shown of slow peers holds for so long. */
const PROVEN_MS = 60_000;
/** Answers of less than this in sum say little of the port. */
const SAMPLE_BYTES = 512_000;
const SAMPLE_MIN_COUNT = 2;
const NO_SAMPLE = { count: 0, bytes: 0, ms: 0 };

/** One answer, from its first byte until the peer has the last. */
export interface Sending {
  readonly sizeBytes: number;
  readonly beganMs: number;
}

/** What each peer got, in bytes per second, among so many. */
interface Served {
  readonly width: number;
  readonly rate: number;
}

export class UploadWidth {
  private readonly most: number;
  private width = FIRST_WIDTH;
  private changedMs = Number.NEGATIVE_INFINITY;
  private sample = NO_SAMPLE;
  /** What the trial under way began from. */
  private trial: Served | undefined;
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
    if (rate >= QUICK_RATE) this.change(width * 2, nowMs);
    else if (trial !== undefined) this.endTrial(trial, rate, nowMs);
    else if (rate < FAIR_RATE && width > 1 && nowMs >= this.provenUntilMs) {
      this.try(Math.floor(width / 2), rate, nowMs);
    } else if (nowMs >= this.nextTrialMs && width < this.most) this.try(width * 2, rate, nowMs);
  }

  private try(width: number, rate: number, nowMs: number): void {
    this.trial = { width: this.width, rate };
    this.change(width, nowMs);
  }

  private endTrial(trial: Served, rate: number, nowMs: number): void {
    const now = { width: this.width, rate };
    const [few, many] = trial.width < now.width ? [trial, now] : [now, trial];
    if (few.rate >= many.rate * PORT_FACTOR) {
      const fair = Math.floor((few.rate * few.width) / FAIR_RATE);
      this.change(Math.min(few.width, fair), nowMs);
      this.nextTrialMs = nowMs + TRY_EVERY_MS;
    } else {
      this.change(many.width, nowMs);
      this.provenUntilMs = nowMs + PROVEN_MS;
      this.nextTrialMs = nowMs;
    }
  }

  private change(width: number, nowMs: number): void {
    this.width = Math.min(Math.max(width, 1), this.most);
    this.changedMs = nowMs;
  }
}
