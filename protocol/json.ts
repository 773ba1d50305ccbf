/**
 * JSON at the door: bounded, shallow, well-formed text in; canonical bytes out.
 */
import { canonicalize } from "@tufjs/canonical-json";
import type { Static, TSchema } from "typebox";
import { Compile, type Validator } from "typebox/compile";
import { DeployError } from "./errors.ts";
import { JSON_MAX_DEPTH } from "./limits.ts";

/** A parser of one noun: unknown value in, typed value out, or DOCUMENT_INVALID naming the place. */
export type Parse<T> = (value: unknown) => T;

/** Makes the parser of a schema. `what` names the document in the error. */
export function parserOf<const S extends TSchema>(what: string, schema: S): Parse<Static<S>> {
  let compiled: Validator | undefined;
  return (value) => {
    compiled ??= Compile(schema);
    if (!compiled.Check(value)) {
      const first = [...compiled.Errors(value)].at(-1);
      const place = first?.instancePath === "" ? "the document" : first?.instancePath;
      throw new DeployError("DOCUMENT_INVALID", { what, problem: `${place} ${first?.message}` });
    }
    return value as Static<S>;
  };
}

/** Text or bytes from outside to an unchecked value. Throws DOCUMENT_TOO_LARGE or DOCUMENT_INVALID. */
export function readJson(what: string, source: Uint8Array | string, limitBytes: number): unknown {
  const sizeBytes = typeof source === "string" ? Buffer.byteLength(source) : source.byteLength;
  if (sizeBytes > limitBytes) throw new DeployError("DOCUMENT_TOO_LARGE", { what, limitBytes });
  const text = typeof source === "string" ? source : decoded(what, source);
  refuseDepth(what, text);
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new DeployError("DOCUMENT_INVALID", { what, problem: "it is not JSON" }, { cause });
  }
}

/** Canonical JSON bytes (OLPC form, as TUF signs it). Equal values give equal bytes. */
export function canonicalBytes(value: unknown): Buffer {
  return Buffer.from(canonicalText(value), "utf8");
}

export function canonicalText(value: unknown): string {
  // The OLPC form leaves control characters raw, and JSON.parse refuses them: a command output or a
  // script with a line break could be signed and never read again. They occur inside strings only.
  return canonicalize(value).replaceAll(/\p{Cc}/gu, (control) =>
    control < " " ? JSON.stringify(control).slice(1, -1) : control,
  );
}

function decoded(what: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new DeployError("DOCUMENT_INVALID", { what, problem: "it is not UTF-8" }, { cause });
  }
}

// trust P6: JSON.parse recurses; a pre-scan refuses nesting before the stack is at stake.
function refuseDepth(what: string, text: string): void {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.codePointAt(at);
    if (inString) {
      if (code === 0x5c) at++;
      else if (code === 0x22) inString = false;
    } else if (code === 0x22) inString = true;
    else if (code === 0x7b || code === 0x5b) {
      depth++;
      if (depth > JSON_MAX_DEPTH) {
        throw new DeployError("DOCUMENT_INVALID", { what, problem: "it is nested too deeply" });
      }
    } else if (code === 0x7d || code === 0x5d) depth--;
  }
}
