import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  changed,
  configOf,
  draftOf,
  fieldOf,
  found,
  hasEffect,
  layoutOf,
  shownFields,
  textOf,
  type Layout,
} from '../../src/views/forms/config_form';
import type { SchemaReply } from '../../src/views/data/types';

// The real schema, so that a field which the form cannot show fails here.
const CODE = `
import json
from imgcls_lab.config import GROUPS, TrainConfig
from imgcls_lab.config.applies import applies
schema = TrainConfig.model_json_schema()
fields = schema["properties"]
cases = [{}, {"loss": "focal"}, {"loss": "mine"}, {"schedule": "plateau"}, {"optimizer": "sgd"}, {"num_processes": 4},
  {"freeze_backbone": True}, {"freeze_backbone": True, "unfreeze_epoch": 3}, {"unfreeze_epoch": 3},
  {"lora_rank": 8}, {"lora_rank": 8, "freeze_backbone": True}, {"clip_grad_norm": None}, {"randaugment": 0},
  {"augmentation": "heavy"}, {"early_stopping_patience": 2}, {"device": "cuda"}]
print(json.dumps({"json_schema": schema, "groups": GROUPS, "start": {"root": "/data/digits"},
  "cases": [[case, [name for name in fields if not applies(fields, case, name)]] for case in cases]}))
`;
const venv = '../.venv/bin/python';
let schema: SchemaReply;
let layout: Layout;

beforeAll(() => {
  const python = process.env.PYTHON ?? (existsSync(venv) ? venv : 'python');
  const env = { ...process.env, PYTHONPATH: '..' };
  schema = JSON.parse(execFileSync(python, ['-c', CODE], { env, encoding: 'utf8' })) as SchemaReply;
  layout = layoutOf(schema);
});

describe('the layout', () => {
  it('shows each setting once', () => {
    const shown = [...layout.first, ...layout.more].flatMap(section =>
      section.fields.map(field => field.name),
    );
    expect(shown.sort()).toEqual(Object.keys(schema.json_schema.properties as object).sort());
  });

  it('has what one needs first unfolded', () => {
    const names = Object.fromEntries(
      layout.first.map(({ title, fields }) => [title, fields.map(field => field.name)]),
    );
    expect(names).toEqual({
      What: ['root', 'model_flavour', 'load_pretrained', 'freeze_backbone'],
      How: ['augmentation', 'epochs', 'batch_size', 'lr'],
      Where: ['monitor_metric', 'device'],
    });
  });

  it('knows a number that may be empty, a choice and a switch', () => {
    expect(layout.fields.get('image_size')).toMatchObject({
      control: 'number',
      whole: true,
      nullable: true,
      unit: 'px',
    });
    expect(layout.fields.get('cache')).toMatchObject({
      control: 'choice',
      choices: ['auto', 'ram', 'disk', 'off'],
    });
    expect(layout.fields.get('compile')).toMatchObject({ control: 'switch', fallback: false });
    expect(layout.fields.get('optimizer')!.suggestions).toContain('sgd');
  });

  it('follows a reference', () => {
    const field = fieldOf(
      'x',
      { $ref: '#/$defs/X', title: 'X' },
      { X: { enum: ['a', 'b'], type: 'string' } },
    );
    expect(field).toMatchObject({ control: 'choice', choices: ['a', 'b'] });
  });
});

describe('a draft', () => {
  it('means the defaults when nothing was typed', () => {
    const { config, problems } = configOf(layout, draftOf(layout, schema.start));
    expect(problems).toEqual({});
    expect(config).toMatchObject({
      root: '/data/digits',
      lr: 3e-4,
      image_size: null,
      load_pretrained: true,
      epochs: 10,
    });
    for (const section of layout.more) expect(changed(section, draftOf(layout, schema.start))).toBe(0);
  });

  it('reads numbers as people write them', () => {
    const draft = { ...draftOf(layout, schema.start), lr: ' 1e-3 ', epochs: '1,000', seed: '7' };
    expect(configOf(layout, draft).config).toMatchObject({ lr: 0.001, epochs: 1000, seed: 7 });
  });

  it('says beside the field what cannot be read', () => {
    const draft = { ...draftOf(layout, schema.start), lr: 'fast', epochs: '2.5', batch_size: '' };
    const { config, problems } = configOf(layout, draft);
    expect(problems).toEqual({
      lr: '“fast” is not a number.',
      epochs: 'Must be a whole number, not 2.5.',
      batch_size: 'A number is needed here.',
    });
    expect(config).not.toHaveProperty('lr');
  });

  it('comes back as it was typed', () => {
    const config = {
      ...configOf(layout, draftOf(layout, schema.start)).config,
      lr: 5e-5,
      image_size: 96,
      hflip: false,
    };
    expect(configOf(layout, draftOf(layout, config)).config).toEqual(config);
  });
});

it('writes small numbers short', () => {
  expect([3e-4, 0.05, 1e-5, 10, null, true].map(textOf)).toEqual(['3e-4', '0.05', '1e-5', '10', '', 'true']);
});

describe('settings without effect', () => {
  it('are those that Python says', () => {
    const { cases } = schema as unknown as { cases: [Record<string, unknown>, string[]][] };
    expect(cases.length).toBeGreaterThan(10);
    for (const [values, idle] of cases) {
      const draft = draftOf(layout, values);
      const said = [...layout.fields.keys()].filter(name => !hasEffect(layout, draft, name));
      expect([values, said]).toEqual([values, idle]);
    }
  });

  it('are hidden, but for those that were changed', () => {
    const names = (values: Record<string, unknown>) =>
      shownFields(layout, draftOf(layout, values), [...layout.fields.values()], {}).map(field => field.name);
    expect(names({})).not.toContain('focal_gamma');
    expect(names({ loss: 'focal' })).toContain('focal_gamma');
    expect(names({ focal_gamma: 3 })).toContain('focal_gamma');
  });

  it('are found by a word of their help all the same', () => {
    const all = [...layout.fields.values()];
    expect(found(layout, all, 'focal').map(field => field.name)).toContain('focal_gamma');
    expect(found(layout, all, 'memory activations').map(field => field.name)).toEqual([
      'gradient_checkpointing',
    ]);
    expect(found(layout, all, 'no such word')).toEqual([]);
  });
});
