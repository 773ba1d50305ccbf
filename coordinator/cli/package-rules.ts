/**
 * The rules of a package from what was typed: a file for all of them, options for the usual ones. An option
 * wins over the same part of the file.
 */
import { checkRules } from "../core/plan/rules-check.ts";
import { DeployError } from "../../protocol/errors.ts";
import { parsePackageName, type PackageName } from "../../protocol/ids.ts";
import { parserOf } from "../../protocol/json.ts";
import type { ExecuteAction, LaunchAction } from "../../protocol/package-action.ts";
import { OutcomeSchema } from "../../protocol/outcome.ts";
import {
  ActionSetSchema,
  PackageRulesSchema,
  type Dependency,
  type DetectionRule,
  type PackageRules,
  type Requirements,
} from "../../protocol/package-rules.ts";
import { actionFrom } from "../publish/package-action.ts";
import { readYamlFile } from "./intent-file.ts";

export interface RuleTexts {
  readonly rules?: string;
  readonly uninstall?: string;
  readonly uninstallCodes?: readonly number[];
  readonly onLaunch?: string;
  readonly depends?: readonly string[];
  readonly require?: readonly string[];
  readonly detect?: readonly string[];
  readonly exitCode?: readonly string[];
  readonly postAction?: string;
  readonly upgrade?: string;
  readonly supersedes?: readonly string[];
  readonly conflicts?: readonly string[];
  readonly versionScheme?: string;
}

const parseRules = parserOf("the package rules", PackageRulesSchema);
const parseActionSet = parserOf("the action set", ActionSetSchema);
const parseOutcome = parserOf("the outcome", OutcomeSchema);
const DETECTION_TIMEOUT_SEC = 60;
const SIZE = /^(?<count>[0-9]{1,9})(?<unit>MB|GB|TB)$/u;
const UNIT_BYTES = { MB: 1024 ** 2, GB: 1024 ** 3, TB: 1024 ** 4 } as const;

/** Undefined where there are none. Throws INPUT_INVALID, DOCUMENT_INVALID or CLI_FILE. */
export async function rulesFrom(
  name: PackageName,
  texts: RuleTexts,
): Promise<PackageRules | undefined> {
  const ofFile = texts.rules === undefined ? {} : parseRules(await readYamlFile(texts.rules));
  const typed = Object.entries(partsOf(texts)).filter(([, value]) => value !== undefined);
  const rules = parseRules({ ...ofFile, ...Object.fromEntries(typed) });
  checkRules(name, rules);
  return Object.keys(rules).length === 0 ? undefined : rules;
}

function partsOf(texts: RuleTexts) {
  const { uninstall, onLaunch, depends, require, detect, exitCode, supersedes, conflicts } = texts;
  return {
    uninstall:
      uninstall === undefined ? undefined : commandOf(uninstall, texts.uninstallCodes ?? [0]),
    onLaunch: onLaunch === undefined ? undefined : commandOf(onLaunch, [0]),
    dependencies: depends?.map(dependencyOf),
    requirements: require?.reduce<Requirements>(withRequirement, {}),
    detection: detect?.map(detectionOf),
    exitCodes: exitCode?.map(exitCodeOf),
    postAction: texts.postAction,
    upgrade: texts.upgrade,
    supersedes: supersedes?.map(namedRange),
    conflicts: conflicts?.map((text) => parsePackageName(text)),
    versionScheme: texts.versionScheme,
  };
}

/** A command of the system, with its code in the report: an uninstaller's code says whether it is gone. */
function commandOf(text: string, successCodes: readonly number[]): ExecuteAction | LaunchAction {
  const action = actionFrom({
    action: "execute",
    command: text,
    captureExitCode: true,
    successCodes,
  });
  if (action.kind === "store") throw wrong("the command", text, "a command");
  return action;
}

/** `acme/lib@>=1 <2,launch,allow-restart`. */
export function dependencyOf(text: string): Dependency {
  const [first = "", ...words] = text.split(",").map((part) => part.trim());
  const sets = words.filter((word) => word !== "allow-restart");
  if (sets.length > 1) throw wrong("--depends", text, "one action set at most");
  const allowsRestart = words.includes("allow-restart") ? { allowsRestart: true } : {};
  return {
    ...namedRange(first),
    actionSet: parseActionSet(sets[0] ?? "install"),
    ...allowsRestart,
  };
}

function namedRange(text: string): { readonly name: PackageName; versions?: string } {
  const at = text.indexOf("@");
  if (at < 0) return { name: parsePackageName(text) };
  return { name: parsePackageName(text.slice(0, at)), versions: text.slice(at + 1).trim() };
}

/** `os=linux`, `os-version=>=22.04`, `arch=x64`, `memory=4GB`, `disk=500MB`, `query=site = berlin`. */
function withRequirement(before: Requirements, text: string): Requirements {
  const at = text.indexOf("=");
  const key = text.slice(0, Math.max(at, 0)).trim();
  const value = text.slice(at + 1).trim();
  switch (key) {
    case "os":
      return { ...before, os: [...(before.os ?? []), osOf(value, text)] };
    case "arch":
      return { ...before, arch: [...(before.arch ?? []), value] };
    case "os-version":
      return { ...before, osVersion: value };
    case "memory":
      return { ...before, memoryBytes: sizeBytesOf(value, text) };
    case "disk":
      return { ...before, freeDiskBytes: sizeBytesOf(value, text) };
    case "query":
      return { ...before, query: value };
    default:
      throw wrong("--require", text, "os=, os-version=, arch=, memory=, disk= or query=");
  }
}

function osOf(value: string, text: string): NonNullable<Requirements["os"]>[number] {
  if (value === "linux" || value === "darwin" || value === "win32") return value;
  if (value === "windows") return "win32";
  throw wrong("--require", text, "os=linux, os=windows or os=darwin");
}

function sizeBytesOf(value: string, text: string): number {
  const groups = SIZE.exec(value)?.groups;
  const unit = groups?.["unit"];
  if (unit !== "MB" && unit !== "GB" && unit !== "TB") {
    throw wrong("--require", text, "a size such as 500MB, 4GB or 1TB");
  }
  return Number(groups?.["count"]) * UNIT_BYTES[unit];
}

/** `file=/opt/app/version`, `software=app@>=1.2`, `command=dpkg -s app`. */
function detectionOf(text: string): DetectionRule {
  const at = text.indexOf("=");
  const value = text.slice(at + 1).trim();
  switch (text.slice(0, Math.max(at, 0)).trim()) {
    case "file":
      return { kind: "file", path: value };
    case "software": {
      const cut = value.lastIndexOf("@");
      if (cut < 1) return { kind: "software", name: value };
      return { kind: "software", name: value.slice(0, cut), versions: value.slice(cut + 1) };
    }
    case "command": {
      const action = commandOf(value, [0]);
      if (action.kind !== "execute") throw wrong("--detect", text, "a command");
      const { command, shell } = action;
      return { kind: "command", command, shell, timeoutSec: DETECTION_TIMEOUT_SEC };
    }
    default:
      throw wrong("--detect", text, "file=PATH, software=NAME@RANGE or command=COMMAND");
  }
}

/** `3011=successRebootRequired`. */
function exitCodeOf(text: string): NonNullable<PackageRules["exitCodes"]>[number] {
  const [code = "", outcome = ""] = text.split("=");
  if (!/^-?[0-9]{1,10}$/u.test(code)) {
    throw wrong("--exit-code", text, "CODE=OUTCOME, such as 3011=successRebootRequired");
  }
  return { code: Number(code), outcome: parseOutcome(outcome) };
}

function wrong(what: string, text: string, expected: string): DeployError {
  return new DeployError("INPUT_INVALID", { what: `${what} "${text.slice(0, 100)}"`, expected });
}
