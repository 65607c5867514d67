-- The event views of the further feeds, what stands of each key, what waits for its partner, and statistics by hand.
SELECT t.school(1, 'bao'), t.school(2, 'so');

-- The last event of a key: within a stream by position, between streams by time, then by the stream's name.
SELECT f.inspection('D1', 1, 2023, '2024-01-10', advice => 'gunstig'), f.inspection('D1', 1, 2023, '2024-01-11', advice => 'ongunstig_met_opschorting');
SELECT t.is('within a stream the later position', (date, advice)::text, '(2024-01-11,ongunstig_met_opschorting)') FROM teldag.inspection;
SET t.at = '2023-12-31';
SELECT f.inspection('D1', 2, 2023, '2024-02-01', stream => 'inspection.1');
SELECT t.is('between streams the later time', school_id, '1') FROM teldag.inspection;
SET t.at = '2024-06-01';
SELECT f.inspection('D1', 1, 2023, '2024-01-12', stream => 'inspection.0'), f.inspection('D1', 2, 2023, '2024-02-01', stream => 'inspection.1');
SELECT t.is('same time: the name that sorts last', school_id, '2') FROM teldag.inspection;
SELECT f.inspection('D1', NULL, NULL, NULL, NULL, op => 'w', stream => 'inspection.1');
SELECT t.is('withdrawn there, withdrawn', count(*), 0::bigint) FROM teldag.inspection;
RESET t.at;
SELECT f.inspection('D2', 1, 2023, '2024-03-01', advice => 'ongunstig_met_opschorting', begeleiding => 'werkpunten', gok => 'none', due => '2025-03-01');
SELECT t.is('inspection', x::text, '(D2,1,2023-2024,2024-03-01,doorlichting,ongunstig_met_opschorting,werkpunten,none,2025-03-01,"{""K1"": ""volgens""}",)')
FROM (SELECT report_id, school_id, school_year, date, kind, advice, leerlingenbegeleiding, gok, followup_due, scales, opschorting_asked_on FROM teldag.inspection) x;
SELECT f.opschorting('D2', 1, '2024-03-15'), f.opschorting('D3', 1, '2024-03-16'), f.opschorting('D4', 2, '2024-03-16');
SELECT f.inspection('D4', 1, 2023, '2024-03-02', advice => 'ongunstig_met_opschorting');
SELECT t.is('opschorting', string_agg(report_id || ' ' || coalesce(opschorting_asked_on::text, '-'), ', ' ORDER BY report_id), 'D2 2024-03-15, D4 -') FROM teldag.inspection;
SELECT t.is('opschorting that waits', string_agg(key || ': ' || reason, ', ' ORDER BY key),
            'D3: opschorting without a report, D4: opschorting by school 2 of a report on school 1') FROM teldag.unmatched;
SELECT f.inspection('D3', 1, 2023, '2024-03-03'), f.opschorting('D4', 1, '2024-03-16');
SELECT t.is('and fits', count(*), 0::bigint) FROM teldag.unmatched;
SELECT f.inspection('D5', 77, 2023, '2024-03-03', 'tussentijds_bezoek');
SELECT t.is('a report on a school that is not known', (stream, key, reason)::text, '(inspection.0,D5,"unknown school")') FROM teldag.unmatched;
SELECT t.is('counts without a level', (level, bezoeken)::text, '("",1)') FROM teldag.stats_bezoek;
SELECT t.school(77, 'dko');
SELECT t.is('until it is known', (SELECT count(*) FROM teldag.unmatched)::text || (SELECT string_agg(level, ',') FROM teldag.stats_bezoek), '0dko');

-- Huisonderwijs.
SELECT f.verklaring('V1', 1, 2023, last_school => 2), f.verklaring('V2', 2, 2023, 'collectief', 'secundair');
SELECT t.is('verklaring', x::text, '(V1,00000000000000000000000000000001,2023-2024,individueel,basis,limburg,2023-09-03,2)')
FROM (SELECT verklaring_id, pupil, school_year, kind, level, province, declared_on, last_school_id FROM teldag.huisonderwijs_verklaring WHERE verklaring_id = 'V1') x;
SELECT f.controle('C2', 1, 2023, '2024-05-01', 2, 'geweigerd'), f.controle('C9', 2, 2023, '2024-01-01', 1, 'onvoldoende', 'secundair');
SELECT t.is('controle', x::text, '(C2,00000000000000000000000000000001,2023-2024,basis,,2024-05-01,2,geweigerd,"{""aanbod"": null}")')
FROM (SELECT controle_id, pupil, school_year, level, province, date, ordinal, verdict, criteria FROM teldag.huisonderwijs_controle WHERE ordinal = 2) x;
SELECT t.is('second without a first, though another pupil has one', (stream, key, reason)::text, '(huisonderwijs.0,C2,"second control without a first")') FROM teldag.unmatched;
SELECT f.controle('C1', 1, 2023, '2024-05-02', 1, 'onvoldoende');
SELECT t.is('a first that comes later does not do', count(*), 1::bigint) FROM teldag.unmatched;
SELECT f.controle('C1', 1, 2022, '2023-05-02', 1, 'onvoldoende');
SELECT t.is('one of the year before does', count(*), 0::bigint) FROM teldag.unmatched;
SELECT f.controle('C1', NULL, NULL, NULL, NULL, NULL, NULL, 'w');
SELECT t.is('withdrawn, it waits again', count(*), 1::bigint) FROM teldag.unmatched;
SELECT f.controle('C1', 1, 2023, '2024-05-01', 1, 'onvoldoende');
SELECT t.is('on the same day by controle_id', count(*), 0::bigint) FROM teldag.unmatched;
SELECT t.is('stats_huisonderwijs', string_agg(x::text, ' ' ORDER BY level, ordinal), '(2023-2024,basis,1,1,0,1,0) (2023-2024,basis,2,1,0,0,1) (2023-2024,secundair,1,1,0,1,0)')
FROM teldag.stats_huisonderwijs x;
SELECT t.is('stats_verklaring', string_agg(x::text, ' ' ORDER BY kind), '(2023-2024,collectief,secundair,1) (2023-2024,individueel,basis,1)') FROM teldag.stats_verklaring x;

-- Onderwijs aan huis.
SELECT f.beslissing('P1', 'uitgesteld', '2023-10-20');
SELECT t.is('decision without a request', (stream, key, reason)::text, '(aanhuis.0,P1,"decision without a request")') FROM teldag.unmatched;
SELECT f.poah('P1', 5, 2023, 1, mfc => true, prior => true), f.poah('P2', 6, 2023, 1, 'verlenging'), f.poah('P3', 7, 2023), f.poah('P4', 8, 2023, 1);
SELECT t.is('and fits', count(*), 0::bigint) FROM teldag.unmatched;
SELECT t.is('postponed', (decision, decided_on)::text, '(uitgesteld,2023-10-20)') FROM teldag.poah_aanvraag WHERE request_id = 'P1';
SELECT f.beslissing('P1', 'goedgekeurd', '2023-11-20', 2), f.beslissing('P2', 'afgewezen', '2023-11-20');
SELECT t.is('then decided', x::text, '(P1,00000000000000000000000000000005,2023-2024,eerste,2023-10-02,4,2,9,bubao,limburg,t,antwerpen,f,t,f,1,goedgekeurd,2023-11-20,2023-11-27,2024-02-28,2)')
FROM (SELECT request_id, pupil, school_year, kind, received_on, type, opleidingsvorm, age, level, province, mfc, mfc_province, at_home, prior_toah, newcomer,
             school_id, decision, decided_on, valid_from, valid_to, responsible_school_id FROM teldag.poah_aanvraag WHERE request_id = 'P1') x;
SELECT t.is('undecided', (decision, decided_on, school_id, responsible_school_id)::text, '(,,,)') FROM teldag.poah_aanvraag WHERE request_id = 'P3';
SELECT t.is('stats_poah', string_agg(x::text, ' ' ORDER BY kind), '(2023-2024,eerste,bubao,limburg,4,3,1,0,0,1,1) (2023-2024,verlenging,bubao,limburg,4,1,0,1,0,0,0)') FROM teldag.stats_poah x;
SELECT f.toah('T1', 5, 1, 2023), f.toah('T2', 6, 1, 2023, 'chronisch_ziek'), f.toah('T3', 6, 1, 2022);
SELECT t.is('toah', x::text, '(T1,00000000000000000000000000000005,1,2023-2024,langdurig_ziek,2023-11-06,)')
FROM (SELECT request_id, pupil, school_id, school_year, reason, start, "end" FROM teldag.toah_melding WHERE request_id = 'T1') x;
SELECT t.is('toah_poah_per_school', string_agg(x::text, ' ' ORDER BY school_year, school_id), '(2022-2023,1,1,0) (2023-2024,1,2,2) (2023-2024,2,0,1)') FROM teldag.toah_poah_per_school x;
SELECT t.is('stats_toah', string_agg(x::text, ' ' ORDER BY school_year, reason), '(2022-2023,langdurig_ziek,1) (2023-2024,chronisch_ziek,1) (2023-2024,langdurig_ziek,1)') FROM teldag.stats_toah x;
SELECT f.vlp('L1', 5, 2023, 'definitief', 'goedgekeurd', 'tijdelijk'), f.vlp('L2', 6, 2023, 'definitief'), f.vlp('L3', 7, 2023, 'tijdelijk', 'afgewezen');
SELECT t.is('stats_vlp', string_agg(x::text, ' ' ORDER BY kind), '(2023-2024,definitief,2,1) (2023-2024,tijdelijk,1,0)') FROM teldag.stats_vlp x;
SELECT t.is('vlp', x::text, '(L1,2023-2024,definitief,goedgekeurd,tijdelijk,)') FROM (SELECT request_id, school_year, kind, decision, granted_kind, decided_on FROM teldag.vlp_aanvraag WHERE request_id = 'L1') x;

-- Meldingen: the school year of the day; several categories; answers in any order.
SELECT f.beantwoord('M1', '2024-04-01');
SELECT t.is('answer without a melding', (stream, key, reason)::text, '(melding.0,M1,"answer without a melding")') FROM teldag.unmatched;
SELECT f.melding('M1', 1, '2024-03-01', '{aanpak_pesten_agressie,veiligheid}'), f.melding('M2', 1, '2024-08-31', '{curriculum,evaluatie}'),
       f.melding('M3', 1, '2024-09-01', '{leerrecht}', 'so'), f.melding('M4', 1, '2024-01-01', '{veiligheid}');
SELECT t.is('and fits', count(*), 0::bigint) FROM teldag.unmatched;
SELECT t.is('melding', string_agg(x::text, ' ' ORDER BY melding_id), '(M1,1,2023-2024,bao,2024-03-01,"{aanpak_pesten_agressie,veiligheid}",2024-04-01) '
            || '(M2,1,2023-2024,bao,2024-08-31,"{curriculum,evaluatie}",) (M3,1,2024-2025,so,2024-09-01,{leerrecht},) (M4,1,2023-2024,bao,2024-01-01,{veiligheid},)')
FROM (SELECT melding_id, school_id, school_year, level, received_on, categories, answered_on FROM teldag.melding) x;
SELECT t.is('stats_melding', string_agg(x::text, ' ' ORDER BY school_year, category), '(2023-2024,bao,aanpak_pesten_agressie,1) (2023-2024,bao,curriculum,1) '
            || '(2023-2024,bao,evaluatie,1) (2023-2024,bao,veiligheid,2) (2024-2025,so,leerrecht,1)') FROM teldag.stats_melding x;
SELECT t.is('stats_melding_total', string_agg(x::text, ' ' ORDER BY school_year), '(2023-2024,3,1,2) (2024-2025,1,1,0)') FROM teldag.stats_melding_total x;
SELECT t.is('the seven of leerlingenbegeleiding, by themselves', string_agg(c, ' ' ORDER BY c),
            'aanpak_pesten_agressie grensoverschrijdend_gedrag leerrecht orde_tucht studiebekrachtiging vrijheidsbeperkende_maatregelen zorg_welzijn')
FROM unnest('{aanpak_pesten_agressie,grensoverschrijdend_gedrag,leerrecht,orde_tucht,studiebekrachtiging,vrijheidsbeperkende_maatregelen,zorg_welzijn,curriculum,evaluatie,inschrijvingsrecht,lerarentekort,personeelskwestie,veiligheid}'::text[]) c
WHERE teldag_data.is_leerlingenbegeleiding(ARRAY[c]);

-- Visits: the last advice of an earlier doorlichting decides.
SELECT t.school(3, 'bubao');
SELECT f.inspection('B1', 3, 2021, '2021-10-01', advice => 'ongunstig_zonder_opschorting'), f.inspection('B2', 3, 2021, '2021-10-01', 'tussentijds_bezoek'),
       f.inspection('B3', 3, 2021, '2021-11-01', 'tussentijds_bezoek'), f.inspection('B4', 3, 2021, '2021-12-01', 'opvolging', advice => 'gunstig'),
       f.inspection('B5', 3, 2021, '2021-12-02', 'doorlichting'), f.inspection('B6', 3, 2021, '2021-12-03', 'tussentijds_bezoek'),
       f.inspection('B7', 3, 2021, '2022-01-01', advice => 'gunstig_met_tekorten'), f.inspection('B8', 3, 2021, '2022-01-02', 'tussentijds_bezoek');
SELECT t.is('after ongunstig: not on the day itself; neither opvolging nor a doorlichting without advice ends it', x::text, '(2021-2022,bubao,4,2)')
FROM teldag.stats_bezoek x WHERE school_year = '2021-2022';
SELECT t.is('stats_doorlichting', x::text, '(2021-2022,bubao,"",go,3,0,1,0,1,1)') FROM teldag.stats_doorlichting x WHERE school_year = '2021-2022';
