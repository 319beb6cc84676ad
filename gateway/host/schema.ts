/** What is wrong with one field of a request. */
export interface Problem {
  /** `flow.src`, `elements[3]`; empty: the parameters as a whole. */
  readonly field: string;
  readonly message: string;
}

/** Says whether a value is of a kind, and what is wrong where it is not. */
export interface Schema<T> {
  readonly isOptional: boolean;
  /**
   * @param field where the value stands
   * @param problems receives what is wrong
   * @returns the value; of no use when there were problems
   */
  check(value: unknown, field: string, problems: Problem[]): T;
}

interface Optional<T> extends Schema<T> {
  readonly isOptional: true;
}

export type TypeOf<S> = S extends Schema<infer T> ? T : never;
type Shape = Readonly<Record<string, Schema<unknown>>>;
type OptionalKeys<S extends Shape> = { [K in keyof S]: S[K] extends Optional<unknown> ? K : never }[keyof S];
type ObjectOf<S extends Shape> = {
  readonly [K in Exclude<keyof S, OptionalKeys<S>>]: TypeOf<S[K]>;
} & { readonly [K in OptionalKeys<S>]?: TypeOf<S[K]> };

/** Problems that one request is told of, at the most. */
const MAX_PROBLEMS = 20;

function schema<T>(expected: string, accepts: (value: unknown) => boolean): Schema<T> {
  return {
    isOptional: false,
    check(value, field, problems) {
      if (!accepts(value) && problems.length < MAX_PROBLEMS) problems.push({ field, message: `expected ${expected}` });
      return value as T;
    },
  };
}

/** A safe integer from `min` to `max`, both included. */
export function integer(min: number, max: number): Schema<number> {
  const isInside = (value: unknown) =>
    Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max;
  return schema(`an integer from ${min} to ${max}`, isInside);
}

/** A string of `min` to `max` UTF-16 units. */
export function text(min: number, max: number): Schema<string> {
  return schema(
    `a string of ${min} to ${max} characters`,
    (value) => typeof value === 'string' && value.length >= min && value.length <= max,
  );
}

export function boolean(): Schema<boolean> {
  return schema('true or false', (value) => typeof value === 'boolean');
}

export function oneOf<const T extends string | number>(...values: readonly T[]): Schema<T> {
  const expected = values.map((value) => JSON.stringify(value)).join(' or ');
  return schema(expected, (value) => values.includes(value as T));
}

/** What either accepts; the first one's words are used where neither does. */
export function either<A, B>(first: Schema<A>, second: Schema<B>): Schema<A | B> {
  return {
    isOptional: false,
    check(value, field, problems) {
      const unused: Problem[] = [];
      second.check(value, field, unused);
      return unused.length === 0 ? (value as B) : first.check(value, field, problems);
    },
  };
}

export function list<T>(of: Schema<T>, max: number): Schema<readonly T[]> {
  return {
    isOptional: false,
    check(value, field, problems) {
      if (!Array.isArray(value) || value.length > max) {
        problems.push({ field, message: `expected a list of up to ${max}` });
        return [];
      }
      for (let i = 0; i < value.length && problems.length < MAX_PROBLEMS; i++) {
        of.check(value[i], `${field}[${i}]`, problems);
      }
      return value as readonly T[];
    },
  };
}

export function optional<T>(of: Schema<T>): Optional<T> {
  return { ...of, isOptional: true };
}

/** An object with these fields and no others. */
export function object<const S extends Shape>(shape: S): Schema<ObjectOf<S>> {
  return {
    isOptional: false,
    check(value, field, problems) {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        problems.push({ field, message: 'expected an object with named fields' });
        return {} as ObjectOf<S>;
      }
      const within = (name: string) => (field === '' ? name : `${field}.${name}`);
      for (const name of Object.keys(value)) {
        if (problems.length >= MAX_PROBLEMS) break;
        if (!Object.hasOwn(shape, name))
          problems.push({ field: within(short(name)), message: 'there is no such field' });
      }
      for (const [name, of] of Object.entries(shape)) {
        if (Object.hasOwn(value, name)) of.check((value as Record<string, unknown>)[name], within(name), problems);
        else if (!of.isOptional) problems.push({ field: within(name), message: 'is missing' });
      }
      return value as ObjectOf<S>;
    },
  };
}

function short(name: string): string {
  return name.length > 40 ? `${name.slice(0, 40)}…` : name;
}
