/** Records of a PAX extended header: `length key=value\n`, where the length covers the whole record. */

/** Undefined where the bytes are not exactly a list of such records. */
export function parsePax(body: Buffer): ReadonlyMap<string, string> | undefined {
  const records = new Map<string, string>();
  for (let at = 0; at < body.length;) {
    const space = body.indexOf(0x20, at);
    const lengthText = body.toString("latin1", at, Math.max(space, at));
    if (!/^[1-9]\d{0,5}$/u.test(lengthText)) return undefined;
    const end = at + Number(lengthText);
    const isWhole = end <= body.length && end > space + 1 && body[end - 1] === 0x0a;
    if (!isWhole) return undefined;
    // A NUL in a value stays in it: the path policy refuses it, a C program would cut it there.
    const record = body.toString("utf8", space + 1, end - 1);
    const equals = record.indexOf("=");
    if (equals < 1) return undefined;
    records.set(record.slice(0, equals), record.slice(equals + 1));
    at = end;
  }
  return records;
}
