/**
 * Places that the environment decides.
 */
import { homedir } from "node:os";
import path from "node:path";

/** Folder of this user's settings: `$XDG_CONFIG_HOME`, `%APPDATA%` on Windows, else `~/.config`. */
export function configHome(): string {
  const fallback = path.join(homedir(), ".config");
  const named =
    process.platform === "win32" ? process.env["APPDATA"] : process.env["XDG_CONFIG_HOME"];
  return named === undefined || named === "" ? fallback : named;
}
