/**
 * What the databases of package managers say is installed. Parsing is pure; everything that a program
 * printed is bounded and cut to what a report may carry.
 */
import type { DetectedSoftware } from "../../protocol/report.ts";

const NAME_MAX_CHARACTERS = 200;
const VERSION_MAX_CHARACTERS = 100;

export const DPKG_ARGS = ["-W", "-f", "${Package}\t${Version}\t${db:Status-Status}\n"] as const;
export const RPM_ARGS = ["-qa", "--qf", "%{NAME}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\n"] as const;
/** Where Windows keeps what its list of programs shows; the second holds 32-bit programs. */
export const WINDOWS_UNINSTALL_KEYS = [
  "HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Uninstall",
  "HKLM\\SOFTWARE\\WOW6432Node\\Microsoft\\Windows\\CurrentVersion\\Uninstall",
] as const;

/** Output of `dpkg-query` with DPKG_ARGS; packages that were removed and left files do not count. */
export function parseDpkg(text: string): readonly DetectedSoftware[] {
  return rowsOf(text).flatMap(([name = "", version = "", status]) =>
    status === "installed" ? softwareOf(name, version, "dpkg") : [],
  );
}

/** Output of `rpm` with RPM_ARGS; keys of signers are listed like packages and are none. */
export function parseRpm(text: string): readonly DetectedSoftware[] {
  return rowsOf(text).flatMap(([name = "", version = ""]) =>
    name === "gpg-pubkey" ? [] : softwareOf(name, version.replace(/^0:/u, ""), "rpm"),
  );
}

/** Output of `reg query KEY /s`: a line per key, then its values, indented. */
export function parseUninstallKeys(text: string): readonly DetectedSoftware[] {
  const found: DetectedSoftware[] = [];
  let values = new Map<string, string>();
  const close = (): void => {
    const name = values.get("displayname");
    // Updates and parts of others carry this mark, and Windows does not list them either.
    const isPart = values.get("systemcomponent") === "0x1" || values.has("parentkeyname");
    if (name !== undefined && !isPart) {
      found.push(...softwareOf(name, values.get("displayversion") ?? "", "windows"));
    }
    values = new Map();
  };
  for (const line of text.split(/\r?\n/u)) {
    if (line.startsWith("HKEY_")) close();
    const [, name, value] = /^ {4}(\S.*?) {4}REG_\w+ {4}(.*)$/u.exec(line) ?? [];
    if (name !== undefined && value !== undefined) values.set(name.toLowerCase(), value.trim());
  }
  close();
  return found;
}

/** One entry per name and version, in an order that does not depend on the source's. */
export function inReportOrder(software: readonly DetectedSoftware[]): readonly DetectedSoftware[] {
  const byKey = new Map(
    software.map((one) => [`${one.name}\t${one.version}\t${one.source}`, one] as const),
  );
  return [...byKey].toSorted(([one], [other]) => (one < other ? -1 : 1)).map(([, one]) => one);
}

function softwareOf(
  name: string,
  version: string,
  source: DetectedSoftware["source"],
): readonly DetectedSoftware[] {
  const shownName = shown(name, NAME_MAX_CHARACTERS);
  if (shownName === "") return [];
  return [{ name: shownName, version: shown(version, VERSION_MAX_CHARACTERS), source }];
}

function shown(text: string, limit: number): string {
  return text.trim().slice(0, limit).toWellFormed();
}

function rowsOf(text: string): readonly (readonly string[])[] {
  return text.split(/\r?\n/u).map((line) => line.split("\t"));
}
