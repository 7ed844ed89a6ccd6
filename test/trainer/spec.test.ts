import { describe, expect, test } from 'vitest';
import { SegfleetError } from '../../trainer/errors.ts';
import { initJob } from '../../trainer/initJob.ts';
import { isSameJob } from '../../trainer/runRecord.ts';
import { parseJob, renderJob } from '../../trainer/spec.ts';

const head = `apiVersion: segfleet.dev/v1alpha1
kind: TrainingJob
metadata: {name: a}
spec:
  data:
    path: x
`;

function refusal(text: string, settings: string[] = []): string {
  try {
    parseJob(text, 'job.yaml', settings);
  } catch (error) {
    expect(error).toBeInstanceOf(SegfleetError);
    expect((error as SegfleetError).exitCode).toBe(2);
    expect((error as SegfleetError).message.split('\n')).toHaveLength(1);
    return (error as SegfleetError).message;
  }
  throw new Error('the job was accepted');
}

describe('a job file', () => {
  test("needs no more than a data path; the defaults are the paper's", () => {
    const { spec } = parseJob(head, 'job.yaml').job;
    expect(spec).toEqual({
      seed: 1,
      data: {
        path: 'x',
        size: { height: 256, width: 256 },
        channels: 3,
        classes: 1,
        exclusive: false,
        split: { validation: 0.2, test: 0, seed: 0 },
      },
      model: { name: 'unet', width: 32, dropout: 0.5, batchNormMomentum: 0.99 },
      loss: {
        name: 'adaptiveLog',
        of: { name: 'dice', smooth: 1 },
        gamma: 0.1,
        omega: 10,
        epsilon: 0.5,
        continuity: 'paper',
        pool: 'batch',
        classes: 'sum',
      },
      training: {
        epochs: 50,
        batch: 16,
        lanes: 1,
        optimizer: { name: 'adam', learningRate: 1e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-7 },
        schedule: { name: 'constant' },
        wire: 'float32',
        precision: 'float32',
      },
      workers: { replicas: 1, min: 1, max: 1 },
      checkpoint: { last: 2, best: 1 },
      suspend: false,
      restarts: { errors: 6, outOfMemory: 2 },
      pod: { terminationGracePeriodSeconds: 60 },
    });
  });

  test('is the same training whatever it says of pods', () => {
    const plain = parseJob(head, 'job.yaml').job;
    const pod = '  pod: {gpus: 1, resources: {limits: {cpu: 2, memory: 4Gi}}, volumes: [{name: data, mountPath: /data, claim: isic}]}\n';
    const onCluster = parseJob(`${head}  suspend: true\n  ttlSecondsAfterFinished: 60\n${pod}`, 'job.yaml').job;
    expect(onCluster.spec.pod.volumes).toEqual([{ name: 'data', mountPath: '/data', readOnly: false, claim: 'isic' }]);
    expect(isSameJob(onCluster, plain)).toBe(true);
  });

  test.each([
    [[], 1, 1],
    [['workers.replicas=4'], 4, 4],
    [['workers={replicas: 2, max: 8}'], 8, 8],
    [['workers={replicas: 2, max: 4}', 'training.lanes=16'], 16, 4],
  ])('with %j has %i lanes, and at most %i workers', (settings, lanes, max) => {
    const { training, workers } = parseJob(head, 'job.yaml', settings).job.spec;
    expect([training.lanes, workers.max]).toEqual([lanes, max]);
  });

  test('is the same after it was written out and read again', () => {
    const { job } = parseJob(head, 'job.yaml', [
      'loss.name=focalTversky',
      'training.schedule={name: step, epochs: [3, 5]}',
      'training.clipNorm=0.5',
    ]);
    const again = parseJob(renderJob(job), 'again.yaml').job;
    expect(again).toEqual(job);
    // Defaults that follow from other fields stand where given ones do: a worker tells by this text that it has the job of its run.
    expect(JSON.stringify(again)).toBe(JSON.stringify(job));
  });

  test('as `init` writes it is valid, and what it shows as defaults are the defaults', async () => {
    const text = await initJob({ name: 'a', base: '.' });
    const uncommented = text.replace(/^(\s*)# ([a-zA-Z]+: \S.*)$/gm, '$1$2');
    const defaults = parseJob(head, 'job.yaml').job.spec;
    expect(parseJob(text, 'job.yaml').job.spec).toMatchObject({ ...defaults, data: { ...defaults.data, path: 'data' } });
    const { clipNorm, threads, earlyStopping, ...training } = parseJob(uncommented, 'job.yaml').job.spec.training;
    expect([clipNorm, threads, earlyStopping]).toEqual([1, 2, { patience: 10, minDelta: 0 }]); // these have no default to show
    expect(training).toEqual(defaults.training);
  });

  test.each([
    ['an unknown field, with a guess', '    sise: 3\n', 'job.yaml, line 7, column 5: unknown field data.sise; did you mean size?'],
    [
      'an unknown field, with what there is',
      '  loss: {name: dice, gamma: 3}\n',
      'job.yaml, line 7, column 22: unknown field loss.gamma; known are name, smooth, smoothNumerator, smoothDenominator, pool, classes',
    ],
    [
      'an unknown field of a wrapped loss',
      '  loss: {name: adaptiveLog, of: {name: dice, smoth: 1}}\n',
      'job.yaml, line 7, column 46: unknown field loss.of.smoth; did you mean smooth?',
    ],
    [
      'class weights for another number of classes',
      '  loss: {name: dice, classWeights: [1, 2]}\n',
      'job.yaml, line 7, column 22: loss.classWeights has 2 numbers; one for each of data.classes, 1, is expected',
    ],
    [
      'a batch that the lanes do not divide',
      '  training: {batch: 6, lanes: 4}\n',
      'job.yaml, line 7, column 14: training.batch is 6, which is not divisible by training.lanes, 4; try 8',
    ],
    [
      'gradients rounded on a way that they do not take',
      '  training: {wire: bfloat16}\n',
      'job.yaml, line 7, column 14: training.wire is bfloat16, and with one lane (training.lanes) nothing travels; use float32, or more lanes',
    ],
    [
      'more workers than lanes',
      '  training: {lanes: 2}\n  workers: {replicas: 4}\n',
      'job.yaml, line 8, column 13: workers.replicas is 4, and training.lanes is 2: a worker needs a lane at least. More lanes (training.lanes: 4) are another training: each has its own dropout and batch statistics',
    ],
    [
      'more workers than there may be',
      '  workers: {replicas: 4, max: 2}\n',
      'job.yaml, line 7, column 13: workers.replicas is 4, more than workers.max, 2; raise that, or have fewer',
    ],
    [
      'a run that waits for ever',
      '  workers: {replicas: 2, min: 3}\n',
      'job.yaml, line 7, column 26: workers.min is 3, more than workers.replicas, 2: the run would wait for ever',
    ],
    [
      'a volume that is two things',
      '  pod: {volumes: [{name: data, mountPath: /data, claim: isic, secret: isic}]}\n',
      'job.yaml, line 7, column 19: pod.volumes.0 must have exactly one of claim, secret, configMap, emptyDir',
    ],
    [
      'an amount that Kubernetes does not know',
      '  pod: {resources: {limits: {memory: 4 GB}}}\n',
      'job.yaml, line 7, column 30: pod.resources.limits.memory must be an amount such as 500m, 2 or 4Gi',
    ],
    [
      'a fraction of a processor, which the API server would not take',
      '  pod: {resources: {limits: {cpu: 0.5}}}\n',
      'job.yaml, line 7, column 30: pod.resources.limits.cpu is 0.5; must be an amount such as 500m, 2 or 4Gi, and in quotes where it has a point',
    ],
    [
      'two volumes of one name',
      '  pod: {volumes: [{name: a, mountPath: /a, claim: a}, {name: a, mountPath: /b, claim: b}]}\n',
      'job.yaml, line 7, column 9: pod.volumes has two volumes of the same name',
    ],
    [
      'two variables of one name',
      '  pod: {env: [{name: A, value: a}, {name: A}]}\n',
      'job.yaml, line 7, column 9: pod.env has two variables of the same name',
    ],
    [
      'a loss that sorts the pixels of a batch in several lanes',
      '  loss: {name: lovasz}\n  training: {lanes: 4}\n',
      'job.yaml, line 7, column 3: loss.pool is batch, and lovasz sorts the pixels of a unit, which 4 lanes have not in one place; use lane or image',
    ],
    [
      'deep supervision of a network without coarser outputs',
      '  deepSupervision: {weights: [1]}\n',
      'job.yaml, line 7, column 3: deepSupervision is given, and unet has no outputs at coarser levels; leave it out',
    ],
    [
      'a wrong number of weights for them',
      '  model: {name: attentionUnet}\n  deepSupervision: {weights: [1]}\n',
      'job.yaml, line 8, column 21: deepSupervision.weights has 1 numbers; attentionUnet has 3 coarser outputs',
    ],
    [
      'a loss that is not there',
      '  loss: {name: dise}\n',
      'job.yaml, line 7, column 10: loss.name is "dise"; expected one of crossEntropy, focal, weightedCrossEntropy, topKCrossEntropy, dice, jaccard, tversky, focalTversky, combo, generalisedDice, logCoshDice, exponentialLog, unifiedFocal, lovasz, boundary, softClDice, adaptiveLog, sum; did you mean dice?',
    ],
    [
      'a loss without a name',
      '  loss: {gamma: 1}\n',
      'job.yaml, line 7, column 3: loss.name is missing; expected one of crossEntropy, focal, weightedCrossEntropy, topKCrossEntropy, dice, jaccard, tversky, focalTversky, combo, generalisedDice, logCoshDice, exponentialLog, unifiedFocal, lovasz, boundary, softClDice, adaptiveLog, sum',
    ],
    [
      'a loss that is only a name',
      '  loss: dice\n',
      'job.yaml, line 7, column 3: loss is "dice"; a group of fields is expected, such as {name: dice}',
    ],
    [
      'a size that the network cannot take',
      '    size: {height: 100, width: 96}\n',
      'job.yaml, line 7, column 12: data.size.height is 100, which is not divisible by 16 as unet needs; try 96',
    ],
    [
      'a patch that the network cannot take (the size is not used then)',
      '    size: {height: 100, width: 100}\n    patches: {height: 48, width: 50, perImage: 9}\n',
      'job.yaml, line 8, column 27: data.patches.width is 50, which is not divisible by 16 as unet needs; try 48',
    ],
    ['patches without a number', '    patches: {height: 48, width: 48}\n', 'data.patches.perImage is missing; a number is expected'],
    [
      'one and a half cases held out',
      '    split: {validation: 1.5}\n',
      'job.yaml, line 7, column 13: data.split.validation must be a share below 1 or a whole number of cases',
    ],
    [
      'a deformation that may fold the image',
      '    augmentation: {elastic: {pixels: 40}}\n',
      'data.augmentation.elastic.pixels must be less than half of elastic.spacing',
    ],
    ['a number below its limit', '  training: {epochs: 0}\n', 'job.yaml, line 7, column 14: training.epochs is 0; at least 1 is expected'],
    ['half an epoch', '  training: {epochs: 2.5}\n', 'job.yaml, line 7, column 14: training.epochs is 2.5; a whole number is expected'],
    ['text for a number', '  training: {epochs: many}\n', 'job.yaml, line 7, column 14: training.epochs is "many"; a number is expected'],
    [
      'an unknown precision',
      '  training: {precision: fp16}\n',
      'job.yaml, line 7, column 14: training.precision is "fp16"; it must be "float32" or "bfloat16" or "auto"',
    ],
    [
      'a width out of range',
      '  model: {name: unet, width: 128}\n',
      'job.yaml, line 7, column 23: model.width is 128; at most 64 is expected',
    ],
    [
      'exclusive classes, of which there is one',
      '    exclusive: true\n',
      'job.yaml, line 7, column 5: data.exclusive needs data.classes of at least 2 (background is one of them); with one class leave it out',
    ],
    [
      'a word that kubectl reads as false',
      '  training: {precision: no}\n',
      'job.yaml, line 7, column 25: no means false to kubectl and "no" here; put it in quotes, or write it as the number, true or false that is meant',
    ],
    [
      'a number that kubectl reads as text',
      '  seed: 0o17\n',
      'job.yaml, line 7, column 9: 0o17 means "0o17" to kubectl and 15 here; put it in quotes, or write it as the number, true or false that is meant',
    ],
    [
      'a number that kubectl reads in octal',
      '  seed: 010\n',
      'job.yaml, line 7, column 9: 010 means 8 to kubectl and 10 here; put it in quotes, or write it as the number, true or false that is meant',
    ],
    ['a key twice', '  seed: 1\n  seed: 2\n', 'job.yaml, line 8, column 3: map keys must be unique'],
    ['a syntax error', '  - x\n', 'job.yaml, line 7, column 1: '],
  ])('with %s is refused, by line and column', (_, lines, sentence) => {
    expect(refusal(head + lines)).toContain(sentence);
  });

  test.each([
    ['is empty', ''],
    ['is a list', '[1, 2]'],
    ['is text', 'hello'],
  ])('that %s is refused with where to begin', (_, text) => {
    expect(refusal(text)).toBe(
      'job.yaml is not a job: it should begin with apiVersion, kind, metadata and spec; `segfleet init` writes one',
    );
  });

  test('of another version or kind is refused', () => {
    expect(refusal(head.replace('v1alpha1', 'v2'))).toContain('apiVersion is "segfleet.dev/v2"; it must be "segfleet.dev/v1alpha1"');
    expect(refusal(head.replace('TrainingJob', 'Job'))).toContain('kind is "Job"; it must be "TrainingJob"');
  });

  test('whose aliases expand without end is refused', () => {
    const bomb = [
      'a: &a [x, x, x, x, x, x, x, x, x, x]',
      ...'bcdefgh'.split('').map((name, i) => `${name}: &${name} [${`*${'abcdefg'[i]}, `.repeat(9)}*${'abcdefg'[i]}]`),
    ].join('\n');
    expect(refusal(bomb)).toContain('the aliases in this file expand without end');
  });

  test('with a hostile key does not touch the prototype of objects', () => {
    refusal(`${head}  __proto__: {polluted: true}\n`);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });
});

describe('--set', () => {
  const spec = (...settings: string[]) => parseJob(`${head}  loss: {name: adaptiveLog, gamma: 0.2, pool: image}\n`, 'job.yaml', settings);

  test('overrides a value, and says that it came from a flag', () => {
    const { job, provenance } = spec('training.epochs=3', 'metadata.name=b', 'spec.seed=9');
    expect(job.spec.training.epochs).toBe(3);
    expect(job.metadata.name).toBe('b');
    expect(provenance).toMatchObject({
      'training.epochs': 'flag',
      'metadata.name': 'flag',
      seed: 'flag',
      'data.path': 'file',
      'loss.gamma': 'file',
    });
    expect(provenance['training.batch']).toBeUndefined();
  });

  test('of the name of a loss drops the fields of the other one, but not how values are joined', () => {
    const { job, provenance } = spec('loss.name=dice');
    expect(job.spec.loss).toEqual({ name: 'dice', smooth: 1, pool: 'image', classes: 'sum' });
    expect(provenance['loss.gamma']).toBeUndefined();
  });

  test.each([
    ['loss', '--set loss: path=value is expected, for example --set training.epochs=3'],
    ['=3', '--set =3: path=value is expected'],
    ['training.epocs=3', '--set: unknown field training.epocs; did you mean epochs?'],
    ['training.epochs=x', '--set: training.epochs is "x"; a number is expected'],
    ['training.epochs.x=3', '--set training.epochs.x=3: '],
    ['data.size={height: 1', 'the value is not valid YAML'],
    ['__proto__.x=1', 'the path has an empty or forbidden part'],
  ])('%s is refused', (setting, sentence) => {
    expect(refusal(`${head}  training: {epochs: 1}\n`, [setting])).toContain(sentence);
  });
});
