// @vitest-environment node
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { NOTIFICATION_LEVELS, NO_PREFERENCES, PALETTES, preferencesIn } from '../../src/views/ui/preferences';
import { SERIES_COLOURS } from '../../src/views/ui/theme';

const schema = JSON.parse(readFileSync('schema/settings.json', 'utf8')) as {
  properties: Record<string, { default: unknown; oneOf?: { const: string }[] }>;
};

it('has the defaults and the choices that the schema of the settings offers', () => {
  const choices = (name: string) => schema.properties[name]!.oneOf?.map(choice => choice.const);
  expect(preferencesIn(name => schema.properties[name]!.default)).toEqual(NO_PREFERENCES);
  expect(Object.keys(schema.properties).sort()).toEqual(Object.keys(NO_PREFERENCES).sort());
  expect(choices('notifications')).toEqual([...NOTIFICATION_LEVELS]);
  expect(choices('palette')).toEqual([...PALETTES]);
});

it('takes no value that means nothing', () => {
  const odd = { notifications: false, palette: 'pink', project: 7, columns: ['lr', 3, ''] };
  expect(preferencesIn(name => odd[name as keyof typeof odd])).toEqual({
    ...NO_PREFERENCES,
    columns: ['lr'],
  });
});

it('has twenty colours in each palette, no two alike in light or dark', () => {
  const css = readFileSync('src/views/ui/theme.css', 'utf8');
  for (const palette of PALETTES.filter(name => name !== 'standard')) {
    const block = css.split(`[data-imgcls-palette='${palette}'] .imgcls {`)[1]!.split('}')[0]!;
    const pairs = [...block.matchAll(/--imgcls-series-(\d+): light-dark\((#\w+), (#\w+)\);/g)];
    expect(pairs.map(([, number]) => Number(number))).toEqual(
      Array.from({ length: SERIES_COLOURS }, (_, index) => index + 1),
    );
    for (const side of [2, 3]) expect(new Set(pairs.map(pair => pair[side])).size).toBe(SERIES_COLOURS);
  }
});
