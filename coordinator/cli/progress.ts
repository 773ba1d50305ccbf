/**
 * One line of progress on stderr: bytes, rate, remaining time. It is rewritten in place on a terminal
 * and printed every 10 s elsewhere, so that a build log of a long upload shows life and stays short.
 */
import stringWidth from "string-width";
import { bytesText, durationText } from "./quantities.ts";
import type { Session } from "./terminal.ts";

/** Ten frames a second look smooth; more only costs. */
const FRAME_MS = 100;
const PLAIN_LINE_MS = 10_000;
const BAR_CELLS = 24;

export interface Progress {
  /** `total` is absent while it is not known. */
  readonly update: (label: string, done: number, total?: number) => void;
  /** Removes the bar; later output begins on a clean line. */
  readonly end: () => void;
}

/** What is counted: bytes have a rate, other things only a count. */
export type ProgressUnit = "bytes" | "count";

export function startProgress(session: Session, unit: ProgressUnit = "bytes"): Progress {
  const { terminal, nowMs } = session;
  const isBar = terminal.isErrTty;
  let shownAtMs = isBar ? 0 : nowMs();
  let phase = { label: "", startedAtMs: nowMs() };
  let isDirty = false;
  return {
    update: (label, done, total) => {
      const atMs = nowMs();
      if (label !== phase.label) phase = { label, startedAtMs: atMs };
      const isLast = isBar && done === total;
      if (!isLast && atMs - shownAtMs < (isBar ? FRAME_MS : PLAIN_LINE_MS)) return;
      shownAtMs = atMs;
      const state = { label, done, total, elapsedMs: atMs - phase.startedAtMs, unit };
      terminal.writeErr(
        isBar ? `\r\u001B[K${barLine(state, terminal.columns)}` : `${plainLine(state)}\n`,
      );
      isDirty = isBar;
    },
    end: () => {
      if (isDirty) terminal.writeErr("\r\u001B[K");
      isDirty = false;
    },
  };
}

export interface ProgressState {
  readonly label: string;
  readonly done: number;
  readonly total: number | undefined;
  readonly elapsedMs: number;
  readonly unit: ProgressUnit;
}

/** `uploading  [########----------------]  33 %  12.0 MB of 36.0 MB  4.00 MB/s  6s left` */
export function barLine(state: ProgressState, columns: number): string {
  const ratio = ratioOf(state);
  const filled = Math.round((ratio ?? 0) * BAR_CELLS);
  const bar = ratio === undefined ? "" : `[${"#".repeat(filled)}${"-".repeat(BAR_CELLS - filled)}]`;
  const full = [state.label, bar, ...figures(state)].filter((part) => part !== "").join("  ");
  // A line as wide as the screen would wrap and leave its first half behind.
  if (stringWidth(full) < columns) return full;
  return plainLine(state).slice(0, Math.max(0, columns - 1));
}

export function plainLine(state: ProgressState): string {
  return [state.label, ...figures(state)].join("  ");
}

function figures(state: ProgressState): readonly string[] {
  const { done, total, elapsedMs, unit } = state;
  const shown = unit === "bytes" ? bytesText : String;
  const ratio = ratioOf(state);
  const amount = total === undefined ? shown(done) : `${shown(done)} of ${shown(total)}`;
  const percent = ratio === undefined ? [] : [`${Math.floor(ratio * 100)} %`];
  // A rate over less than half a second is noise.
  if (unit !== "bytes" || elapsedMs < 500 || done === 0) return [...percent, amount];
  const rateBytesPerSec = Math.round((done / elapsedMs) * 1000);
  const rate = `${bytesText(rateBytesPerSec)}/s`;
  if (total === undefined || done >= total) return [...percent, amount, rate];
  const remainingMs = ((total - done) / done) * elapsedMs;
  return [...percent, amount, rate, `${durationText(remainingMs)} left`];
}

function ratioOf(state: ProgressState): number | undefined {
  if (state.total === undefined || state.total <= 0) return undefined;
  return Math.min(1, state.done / state.total);
}
