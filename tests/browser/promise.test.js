// The promise of uptime: what was agreed is entered, an exclusion is invoked and accepted.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { api, missing, people, setting, settled, startBrowser } from './support.js';

const skip = missing('FYRHUS_URL', 'FYRHUS_USER', 'FYRHUS_PASSWORD');

let browser;
before(async () => {
  browser = await startBrowser();
});
after(() => browser?.close());

const owner = people(setting('FYRHUS_URL'), setting('FYRHUS_USER'), setting('FYRHUS_PASSWORD'));
test('a contract is entered, and has tiers of its own', { skip }, async () => {
  const { context, page, wrong } = await owner(browser);
  await page.goto('/promise');
  await settled(page);
  await page.getByRole('button', { name: 'Før inn avtalen' }).click();
  await page.getByLabel('Avtalens nummer').fill('4711');
  await page.getByLabel('Årspris, uten mva.').fill('12 000,50');
  await page.getByLabel('Leverandør').fill('Fjord Energidata AS');
  await page.getByLabel('Kunde').fill('Bakken borettslag');
  await page.getByLabel('Under, i prosent oppetid').first().fill('99,9');
  // What cannot be read is said, and not rounded to something else.
  await page.getByLabel('Merverdiavgift i prosent').fill('25,55');
  await page.getByRole('button', { name: 'Skriv i regnskapet' }).click();
  await page.getByRole('status').filter({ hasText: 'Spørsmålet ble ikke forstått' }).waitFor();
  await page.getByLabel('Merverdiavgift i prosent').fill('25');
  await page.getByText('Slik leses avtalen der den tier').click();
  await page
    .getByLabel('Nye data avvises mens rapporter virker')
    .selectOption({ label: 'teller som nede' });
  await page.getByRole('button', { name: 'Skriv i regnskapet' }).click();
  await page.getByText('Fjord Energidata AS lover Bakken borettslag oppetid').waitFor();

  const { contract } = await api(page, '/sla');
  assert.deepEqual([contract.annual, contract.vat], ['12000.50', '25.0']);
  assert.deepEqual(contract.tiers[0], { below: '99.90', credit: 10 });
  const { agreed } = await api(page, '/sla');
  assert.equal(agreed.policy.ingest_outage, 'counted');
  // What is read otherwise than is usual stands with the contract.
  await page.getByText('teller som nede', { exact: true }).waitFor();
  const { uptime } = await api(page, '/cloud');
  assert.equal(uptime.limits[0].below, '99.9', 'the page of the cloud knows it too');
  assert.deepEqual(wrong, []);
  await context.close();
});

test('an exclusion is in the building’s time, and acts when it is accepted', { skip }, async () => {
  const { context, page, wrong } = await owner(browser);
  await page.goto('/promise');
  await settled(page);
  await page.getByRole('button', { name: 'Påberop et unntak' }).click();
  await page.getByLabel('Navn', { exact: true }).fill('V-1');
  await page.getByLabel('Fra', { exact: true }).fill('2026-11-02T02:00');
  await page.getByLabel('Til', { exact: true }).fill('2026-11-02T04:00');
  await page.getByLabel('Skriftlig varsel nådde kunden').fill('2026-10-29T09:00');
  await page.getByLabel('Hvorfor').fill('Nye disker');
  await page.getByLabel('Bevis: varsel, pålegg, avtale').setInputFiles({
    name: 'varsel.eml',
    mimeType: 'message/rfc822',
    buffer: Buffer.from('From: drift@fjord.example\n\nMandag klokken 02.'),
  });
  await page.getByRole('button', { name: 'Skriv i regnskapet' }).click();
  await page.getByText('Ikke besvart: teller ikke').waitFor();
  const invoked = async () => (await api(page, '/sla')).exclusions.find((it) => it.id === 'V-1');
  const { from, proofs } = await invoked();
  assert.equal(Date.parse(from), Date.parse('2026-11-02T02:00:00+01:00'));
  assert.equal(proofs[0].name, 'varsel.eml');

  await page.getByRole('button', { name: 'Svar', exact: true }).click();
  await page.getByLabel('Hvorfor').fill('varslet i tide');
  await page.getByRole('button', { name: 'Godta' }).click();
  await page.getByText('Godtatt').waitFor();
  assert.equal((await invoked()).status, 'accepted');
  assert.deepEqual(wrong, []);
  await context.close();
});
