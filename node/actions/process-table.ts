/**
 * What the system says about processes: whether a pid is still the one that was meant, and everything
 * that a command has started.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { readFileIfAny } from "../content/write-file.ts";

/** Processes that fork while they are killed are found in a later round. */
const KILL_ROUNDS = 20;
const KILL_PAUSE_MS = 25;

/** Changes with every start of the computer; "unknown" where the system does not tell. */
export async function bootId(): Promise<string> {
  const text = await procFile("sys/kernel/random/boot_id");
  return text?.trim() ?? "unknown";
}

/** Start time of a process in ticks since boot, as text; undefined where it does not run any more. */
export async function startTimeOf(pid: number): Promise<string | undefined> {
  const stat = await procFile(`${pid}/stat`);
  if (stat === undefined) return process.platform === "linux" ? undefined : aliveOrNot(pid);
  const fields = statFields(stat);
  // A zombie has ended; only its exit code waits to be collected.
  return fields.state === "Z" ? undefined : fields.startTime;
}

/**
 * Ends a command's process group, all descendants, and whatever carries its mark in the environment
 * although it left both (a daemon that detached itself).
 */
export async function killTree(pid: number, variable: string, mark: string): Promise<void> {
  if (process.platform === "win32") {
    await once(spawn("taskkill", ["/T", "/F", "/PID", String(pid)], { windowsHide: true }), "exit");
    return;
  }
  kill(-pid);
  for (let round = 0; round < KILL_ROUNDS; round++) {
    const members = await treeOf(pid, `${variable}=${mark}`);
    if (members.length === 0) return;
    for (const member of members) kill(member);
    await pause(KILL_PAUSE_MS);
  }
}

async function treeOf(root: number, mark: string): Promise<readonly number[]> {
  const processes = await Promise.all(
    (await procNames()).map(async (name) => {
      const stat = await procFile(`${name}/stat`);
      const environment = await procFile(`${name}/environ`);
      return stat === undefined
        ? undefined
        : { ...statFields(stat), pid: Number(name), environment };
    }),
  );
  const alive = processes.filter((one) => one !== undefined && one.state !== "Z");
  const members = new Set<number>();
  // Parents may have higher numbers than their children, so the search repeats until nothing is new.
  for (let before = -1; before !== members.size;) {
    before = members.size;
    for (const one of alive) {
      if (one === undefined) continue;
      const isMarked = one.environment?.split("\0").includes(mark) === true;
      const isMember = one.pid === root || one.group === root || members.has(one.parent);
      if (isMarked || isMember) members.add(one.pid);
    }
  }
  members.delete(process.pid);
  return [...members];
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (cause) {
    // ESRCH: it ended by itself. EPERM: it is not ours any more; nothing can be done from here.
    const isExpected = cause instanceof Error && /ESRCH|EPERM/u.test(cause.message);
    if (!isExpected) throw cause;
  }
}

function aliveOrNot(pid: number): string | undefined {
  try {
    process.kill(pid, 0);
    return "alive";
  } catch {
    return undefined;
  }
}

interface StatFields {
  readonly state: string;
  readonly parent: number;
  readonly group: number;
  readonly startTime: string;
}

// proc(5): the command's name stands in parentheses and may hold blanks and parentheses itself.
function statFields(stat: string): StatFields {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return {
    state: fields[0] ?? "",
    parent: Number(fields[1]),
    group: Number(fields[2]),
    startTime: fields[19] ?? "",
  };
}

async function procNames(): Promise<readonly string[]> {
  try {
    return (await readdir("/proc")).filter((name) => /^\d+$/u.test(name));
  } catch {
    // No /proc on this system: the process group is all that can be found.
    return [];
  }
}

async function procFile(name: string): Promise<string | undefined> {
  try {
    return (await readFileIfAny(`/proc/${name}`))?.toString("utf8");
  } catch {
    // A process that ends while it is read (ESRCH), or one of another user (EACCES).
    return undefined;
  }
}
