/**
 * The interface as TypeScript types, made from its facts: what is read and what is written have the same form.
 *
 * Shape: every field may be absent, for old clients send fewer; enums are names (an unknown number reads as absent); sets
 * are lists; a union is an object with one key. Units: i64 are safe integers; times are ms.
 */
import type { ENUMS } from './enums.ts'
import type { METHODS, MethodName } from './methods.ts'
import type { STRUCTS, UNIONS } from './structs.ts'

type Fields = { readonly [name: string]: readonly [number, string] }
type Bare<T extends string> = T extends `${infer U}?` ? U : T

type ValueOf<T extends string> = T extends 'string'
  ? string
  : T extends 'bool'
    ? boolean
    : T extends 'i32' | 'i64' | 'double'
      ? number
      : T extends `set<${infer E}>` | `list<${infer E}>`
        ? Many<ValueOf<E>>
        : T extends `map<string,${infer V}>`
          ? Readonly<Record<string, ValueOf<V>>>
          : T extends keyof typeof ENUMS
            ? keyof (typeof ENUMS)[T]
            : T extends keyof typeof STRUCTS
              ? FieldsOf<(typeof STRUCTS)[T]>
              : T extends keyof typeof UNIONS
                ? FieldsOf<(typeof UNIONS)[T]>
                : never

type FieldsOf<F extends Fields> = { readonly [N in keyof F]?: ValueOf<Bare<F[N][1]>> | undefined }

/** What is written may be made as it goes: `length` elements, each once. What is read is an array. */
export interface Many<T> extends Iterable<T> {
  readonly length: number
}

export type Arguments<M extends MethodName> = FieldsOf<(typeof METHODS)[M]['args']>
export type Struct<N extends keyof typeof STRUCTS> = FieldsOf<(typeof STRUCTS)[N]>
export type Union<N extends keyof typeof UNIONS> = FieldsOf<(typeof UNIONS)[N]>

export type Response = Struct<'Response'>
export type Result = Union<'Result'>

/** So many elements, each made when it is written: a reply with 10,000 tasks is not built before it is sent. */
export function many<S, T>(sources: readonly S[], make: (source: S) => T): Many<T> {
  return {
    length: sources.length,
    *[Symbol.iterator]() {
      for (const source of sources) yield make(source)
    },
  }
}
