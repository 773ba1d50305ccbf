/** What an earlier process left: an attempt whose end nobody wrote down, and requests to the system. */
import { readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Logger } from "pino";
import { DeployError } from "../../protocol/errors.ts";
import { readJson } from "../../protocol/json.ts";
import { MANIFEST_MAX_BYTES } from "../../protocol/limits.ts";
import { parseManifest } from "../../protocol/manifest.ts";
import type { OpenAttempt } from "../core/journal-state.ts";
import { endStateOf } from "../core/outcome.ts";
import { clearAttempt, hasStarted, resumeAttempt } from "./attempt.ts";
import { postEnd, type ExecutionEnd } from "./execute-job.ts";
import type { JobParts } from "./job-parts.ts";
import { resumedReport } from "./job-report.ts";
import { clearIncoming } from "./store.ts";

/** The attempt that may still run; leftovers of all others are removed. */
export async function leftBehind(parts: JobParts, log: Logger): Promise<OpenAttempt | undefined> {
  const { journal, dataDir } = parts;
  await forgetPastBoots(parts, log);
  let { open } = journal.state;
  if (open !== undefined && !(await hasStarted(dataDir, open.run))) {
    // It never ran: its number is used again (power-cut table, "after intent, before claim").
    log.info({ job: open.job, attempt: open.attempt }, "attempt.neverStarted");
    if (parts.halfMade.has(open.manifestDigest)) {
      log.info({ job: open.job, manifest: open.manifestDigest }, "attempt.halfMadeKept");
    } else if (open.actionKind === "store") await clearHalfMade(parts, open, log);
    await journal.append({ type: "dropped", job: open.job, revision: open.revision });
    open = undefined;
  }
  await clearLeftovers(parts, open?.run);
  return open;
}

/** Waits for the end of an attempt that an earlier process started, and writes it down. */
export async function resumed(
  parts: JobParts,
  open: OpenAttempt,
  signal: AbortSignal,
): Promise<Extract<ExecutionEnd, { kind: "ended" }>> {
  const { outbox, dataDir, now } = parts;
  const resumption = await resumeAttempt(dataDir, open.run, signal);
  const { outcome } = resumption.result;
  const state = endStateOf(outcome, open.attempt, open.attemptLimit);
  const report = resumedReport(open.report, state, outbox.nextOrder(), now(), resumption);
  const end = await postEnd(parts, open, report);
  await clearAttempt(dataDir, open.run);
  await parts.halfMade.forget(open.manifestDigest);
  return end;
}

// Without a mark nothing tells how much of the files is on the disk, and they would only take up room.
async function clearHalfMade(parts: JobParts, open: OpenAttempt, log: Logger): Promise<void> {
  try {
    const bytes = await parts.manifests.held(open.manifestDigest);
    if (bytes === undefined) return;
    const { action } = parseManifest(readJson("the manifest", bytes, MANIFEST_MAX_BYTES));
    if (action.kind === "store") await clearIncoming(action.path, parts.dataDir);
  } catch (error) {
    // Another program version's manifest, or a path that is refused now: the next attempt says so.
    if (!(error instanceof DeployError)) throw error;
    log.warn({ job: open.job, err: error }, "attempt.leftoversKept");
  }
}

// The system has restarted: what waited for it may go on, also where somebody else restarted it.
async function forgetPastBoots({ journal, machine }: JobParts, log: Logger): Promise<void> {
  const boot = await machine.bootMark();
  for (const slot of ["power", "parting"] as const) {
    const held = journal.state[slot];
    if (held === undefined || held.boot === boot) continue;
    log.info({ slot, need: held.need }, "system.restarted");
    await journal.append({ type: "power", slot });
  }
}

// Folders of attempts that ended, or that never got as far as a command: of these, marked files are kept.
async function clearLeftovers(
  { dataDir, halfMade }: JobParts,
  openRun: string | undefined,
): Promise<void> {
  for (const name of await readdir(join(dataDir, "tmp"))) {
    const folder = join(resolve(dataDir), "tmp", name);
    if (name === openRun || (halfMade.holds(folder) && !(await hasStarted(dataDir, name))))
      continue;
    await halfMade.clear(folder, "its attempt is over");
  }
  for (const name of await readdir(join(dataDir, "runs"))) {
    if (name === openRun) continue;
    await rm(join(dataDir, "runs", name), { recursive: true, force: true });
  }
}
