/** The words of an inventory query with their places, so that an error can name where it is. */
import { DeployError } from "./errors.ts";

export interface Word {
  readonly text: string;
  /** From 1. */
  readonly place: number;
  /** Written in quotation marks: never a keyword. */
  readonly isQuoted: boolean;
}

/** Where the words of a query have been read to. */
export interface WordReader {
  /** Undefined at the end. */
  readonly peek: () => Word | undefined;
  readonly next: (expected: string) => Word;
  /** Takes the next word where it is this keyword or sign. */
  readonly take: (text: string) => boolean;
  readonly require: (text: string) => void;
  readonly refuse: (word: Word | undefined, expected: string) => DeployError;
}

const WORD = /\s*(?:"([^"]*)"|'([^']*)'|(<=|>=|!=|[<>=(),])|([^\s<>=!(),"']+))/uy;

export function readWords(text: string): WordReader {
  const words = wordsOf(text);
  let at = 0;
  const refuse = (word: Word | undefined, expected: string): DeployError =>
    badQuery(text, word?.place ?? text.length + 1, expected);
  const take = (keyword: string): boolean => {
    const isNext = isKeyword(words[at], keyword);
    if (isNext) at++;
    return isNext;
  };
  return {
    peek: () => words[at],
    next: (expected) => {
      const word = words[at];
      if (word === undefined) throw refuse(word, expected);
      at++;
      return word;
    },
    take,
    require: (keyword) => {
      if (!take(keyword)) throw refuse(words[at], `"${keyword}"`);
    },
    refuse,
  };
}

function isKeyword(word: Word | undefined, keyword: string): boolean {
  return word !== undefined && !word.isQuoted && word.text.toLowerCase() === keyword;
}

function wordsOf(text: string): readonly Word[] {
  const words: Word[] = [];
  const end = text.trimEnd().length;
  let at = 0;
  while (at < end) {
    WORD.lastIndex = at;
    const match = WORD.exec(text);
    const place = text.slice(at).search(/\S/u) + at + 1;
    if (match === null) throw badQuery(text, place, "a word, a sign or a text in quotation marks");
    const [all, double, single, sign, plain] = match;
    const quoted = double ?? single;
    const word = quoted ?? sign ?? plain ?? "";
    words.push({ text: word, place, isQuoted: quoted !== undefined });
    at += all.length;
  }
  return words;
}

function badQuery(text: string, place: number, expected: string): DeployError {
  return new DeployError("INPUT_INVALID", {
    what: `the query "${text.slice(0, 200)}" at character ${place}`,
    expected,
  });
}
