"""Lexicon of the words that scanners, archives and radiographers use to describe a scan."""

import re
import unicodedata

_GROUPS = {
    "t1": "t1 t1w t1wi t1weighted mprage memprage irspgr irfspgr fspgr spgr bravo vibe thrive tfl3d",
    "t2": "t2 t2w t2wi t2weighted",
    "flair": "flair darkfluid t2f t2flair fluidattenuated",
    "pd": "pd pdw pdwi proton protonendichte dp density densite densidad densita pdt2 t2pd",
    "tirm": "tirm",
    "inversion": "ir",
    "gradient": "gre ffe flash fl2d fl3d mpgr fgre gradient gradiente gradientenecho gradientecho eg fe fe3d",
    "mp2rage": "mp2rage uni uniden unit1",
    "other": "hws lws bws cspine tspine lspine spine spinal spines wirbelsaule rachis columna colonna cervical lumbar "
    "thoracic sacral sacrum knee knie genou rodilla orbit orbits orbita orbital neck hals shoulder "
    "schulter hip hufte abdomen "
    "abdominal pelvis becken thorax breast mamma brust prostate prostata liver leber cardiac wrist ankle elbow "
    "differenz difference differenza diferencia soustr lavaflex loc localizer localiser localizador "
    "localizzatore lokalizer locator scout aascout survey reperage "
    "aahscout aahead 3plane threeplane smartbrain topogram calibration calib coilsens shim phoenix report "
    "screen screenshot screensave dwi dwis dti dki noddi adc eadc dadc adcmap ep2d epi epfid2d diff "
    "diffusion diffusione difusion trace tracew colfa fa tensor ivim bvals b0 b50 b500 b800 b900 b1000 "
    "b1500 b2000 b3000 swi swan eswan swip swimag swiph qsm t2star t2stern t2st t2s t2gre t2ffe r2star "
    "r2s hemo haemo heme venobold medic me2d merge mgre megre perf perfusion perfusione dsc dce asl pcasl "
    "pasl cbf cbv rcbv rcbf mtt ttp tmax ktrans tricks twist grasp bolus dyn dynamic dynamisch "
    "permeability mra mrv mrangio tof angio angiography angiographie angiografia pc3d pca venc veno "
    "venography phlebo s3di fi3d fi2d inhance mip mips minip mnip bold fmri rsfmri resting rest func mrs "
    "svs csi spectro spectroscopy spektroskopie fiesta ciss trufi truefisp trufisp bssfp ssfp dess bffe "
    "btfe balanced cine flow liquor csfflow map maps t1map t2map t1mapping t2mapping mapping relaxometry "
    "t1rho r1map r2map pdmap mtr mtsat mtw cest apt aptw mre elastography fieldmap phasediff b0map b1map "
    "tb1 synthetic synthetisch syntac stir dir psir fgatir wmn dixon mdixon ideal water fat wasser fett "
    "inphase outphase oppphase opposed phase phasen pha phs real imag imaginary complex inv1 inv2 mask "
    "masks maske masque mascara maschera brainmask tumormask tumourmask lesionmask defacemask seg segm "
    "segs segmentation segmentations segmentierung segmentacion segmentazione label labels labelmap dseg "
    "probseg roi rois lesion lesions laesion gm wm csf gmwm pve aseg aparc ribbon parcellation parc atlas "
    "template warp warpfield affine jacobian deformation biasfield ratio residual error noise prob "
    "probability probmap pred prediction gt groundtruth truth annotation annotations contour contours "
    "thickness heatmap glistrboost sub subs subtr subtraction subtractions subtracted substraction "
    "soustraction sustraccion sottrazione subtraktion subt subtract difference t1t2 t1wt2w ct cta pet fdg "
    "fet spect xray tractography sinogram swi3d dyna fsbb susceptibility susceptibilidad suszeptibilitat "
    "vasc vaso tumorseg tumourseg sswip opp ip ph overlay overlaid synth synthesized synthesised "
    "generated fake fused fusion qt1 qt2 me3d jac jacdet logjac jacobians thk thick mixeltype warpcoef coef "
    "coeff coeffs "
    "entropy homogeneity kurtosis skewness variance dissimilarity lacunarity wavelet laplacian sobel gabor "
    "uncertainty saliency gradcam attention curv curvature sulc pial displacement invwarp velocity kspace",
    "agent": "dota gddota gad gado gadolinium gadolinio gadol gadovist gadavist gadobutrol dotarem magnevist prohance "
    "multihance omniscan clariscan elucirem vueway gadoterate gadoteric gadoteridol gadodiamide "
    "gadopentetate gadobenate primovist eovist artirem optimark magnograf pixxoscan feraheme ferumoxytol "
    "dtpa gddtpa gbca kontrast kontrastmittel contrast contraste contrasto contraststoff contrastmiddel "
    "enhanced enhancement enh mdc mdci injection injecte injectee inj iniezione kontrastmittelgabe civ "
    "gadoline cte gadoterato gadopiclenol gadoxetate gadofosveset ablavar vasovist dotagraf dotagita cyclolux "
    "claritax kontrastem kontrastu kontraste kontrasta kontrastom kontrastni kontrastne kontrastmedel contrastem "
    "kontrastvloeistof contrastvloeistof contraststof kontrascie kontraszt kontrastvaeske kontrastmiddel gadolin "
    "gadolinem gadoliniem tehoste tehostetta tehosteen tehosteaine varjoaine varjoainetta varjoaineen",
    "short": "ce gd km cm pdc",
    "undo": "removed remove withdrawn cancelled canceled declined refused aborted failed missing absent entfernt",
    "given": "cmdc kontrastli medkontrast comcontraste tehosteella varjoaineella tehostettu signplus postc postcon "
    "postcontrast postkontrast postgad postgado postgd postgadolinium postkm "
    "postce postinj poscontraste posgd nachkm nkm mitkm mkm wcontrast wgad withcontrast withgad withgd "
    "avecgado avecinj apresinj apresgado congado condecontraste conmdc contrastenhanced gdenhanced congd "
    "mitcm withcm cmplus pluscm pluskm plusc plusgd cplus gdplus kmplus cpos gdpos aftergad aftercontrast",
    "plain": "utankontrast utenkontrast udenkontrast kontrastfri kontrastfritt semcontraste bezkontrastu tehosteeton "
    "signminus nativ native nativo nativa noncontrast noncontrasted noncon nocontrast nocon noc noce "
    "nogad nogd nc nce plain unenhanced nonenhanced nonenh precontrast prekontrast prec precon pregad "
    "pregado pregd pregadolinium prekm preinj prece ohnekm okm vorkm vkm keinkm sansgado sansinj avantinj "
    "sincontraste singado singd senzamdc woc wogad wocontrast withoutcontrast withoutgad kmfrei "
    "contrastfree cminus gdneg cneg basale beforegad smdc unenh",
    "with": "with w mit m avec con com met med plus med z",
    "without": "geen niet nicht ingen inget inte ikke ilman fara nelkul olmadan utan uden uten ilman without wo ohne "
    "sans sin senza sem zonder bez no non not none nil aucun kein keine pas minus",
    "after": "post after nach apres dopo despues tras efter etter apos depois sonra sonrasi jalkeen po na utani",
    "before": "pre prae before vor avant antes prima pra innan før innan inden fore voor przed pred once oncesi "
    "ennen elott",
    "both": "wwo plusminus",
    "hint": "iv delayed late tardif tardive tardivo spat spaet washout uptake enhancing pos positive positiv "
    "positivo ev pc",
    "time": "op ops oper operation operated operative operativ operativo operativa operatoire operatorio "
    "operatoria opera surgery surgical surg surgically chirurgie cirugia chirurgia resection resektion "
    "resected res rt rx rtx xrt crt rct radiation radio radiotherapy radiotherapie radiochemo chemo "
    "chemotherapy chemotherapie tmz treatment treated treat tx therapy therapie terapia therapeutic tto "
    "bx biopsy biopsie biopsia partum natal mortem trauma traumatic stroke ictal ictally implant "
    "intervention interventional craniotomy crani gk srs gammaknife shunt fossa day days week weeks month "
    "months year years proc process processing processed baseline dbs ablation embolization evd vps "
    "anesthesia exercise bestrahlung bestrahlt quirurgico quirurgica gamma avastin bevacizumab",
    "moment": "postop preop praeop intraop perioperative postoperative preoperative intraoperative postoperativ "
    "praeoperativ preoperativ postoperatoire preoperatoire postoperatorio preoperatorio postoperatoria "
    "preoperatoria postsurgery presurgery postsurgical presurgical postresection postrt prert postrx "
    "prerx postchemo prechemo posttreatment pretreatment posttx pretx posttherapy pretherapy postpartum "
    "prescan prenorm prenormalize prenormalized prenormalised postmortem postproc preproc postprocessed "
    "preprocessed postprocessing preprocessing posterior "
    "posteriors posteriore posterieur prefrontal precentral postcentral previous presat postbx postbiopsy "
    "postcrt postsrs posttrauma poststroke postquirurgico postquirurgica prequirurgico prequirurgica",
    "joint": "do and und et y ed or oder of de du di del the der die des i venous intravenous agent medium media "
    "mittel stoff produit mezzo material mezzi via e gabe administration",
    "toward": "to onto in on into zu auf vers reg rreg coreg coregistered registered registriert aligned warped "
    "resampled resliced",
    "mass": "tumor tumour tumors tumeur tumore tumoral glioma gtv ctv edema oedema necrosis ncr core wt tc",
    "fluid": "fl f df fluid ge me",
    "frei": "free frei neg negative negativ negativo negativa",
    "neutral": "for repeat repeated rpt rep again rfmt refmt ref reference recons reformats reformatted reform fsat "
    "skull "
    "base high low temporal frontal parietal occipital lobe lobes hippocampus hippocampal amygdala brainstem "
    "cerebellum cerebellar ventricle pons optic chiasm navigator fiducial fiducials frame frameless "
    "stereotactic stereotaxy gammaplan cyberknife planning plan level vertex medial left right only all first "
    "second third last best good motion slices skip gap thru through angled angle parallel acpc quick siemens "
    "philips hitachi toshiba canon tesla breve ultrafast flip volumen volumetrik ml mls cc mmol tumorpath "
    "resolution isovoxel voxel full complete orbitomeatal ventricular trigeminal nerve nerves temple pediatric "
    "adult child infant baby epilepsy msprotocol combined composed multiplanar mpvr hypofyse hypofysis hoved "
    "hode huvud glava glowa mozg mozek aivot beyin kafa cabeca testa tilt tilted angulated center centre "
    "isotrop isotropisch coil channel trigeminus sinus petrous internal auditory canal canals cisternal "
    "pituitary hypophyse hypophysis sella iac mt recon reformat volumetric navigation thins slice se tse "
    "fse ffse frfse spin echo turbo fast tfe tfl 3d 2d mpr mp rage mprs ax axi axial axiale "
    "axiales sag sagittal sagital sagittale cor coronal koronal coronale tra trans transversal transverse "
    "transv obl oblique iso isotropic fs fatsat fatsupp nofs spair spir sat supp blade propeller space "
    "spc cube vista haste ssfse mtc mag magnitude grappa sense ipat caipi cs wave mprvol vol volume sms "
    "mb brain head cranium cerebro cervello schaedel schadel kopf crane cerebral hirn gehirn neuro stereo "
    "navi nav stealth brainlab thin thick hr hires lowres highres highresolution res1 1mm 2mm 3mm p2 p3 "
    "ns norm nd dis2d dis3d filt n4 bias corrected corr biascorr bet stripped skullstripped ss unstripped "
    "strip face deface defaced run series serie scan image img patient pat subject subj case visit "
    "session ses exam study mri irm rm mr mrt nmr raw orig original final new old copy std standard mni "
    "sri24 ants fsl spm s wip we waterexc drive prop clear weighted gewichtet pondere ponderee pesata "
    "pesado ponderado images tumorprotocol protocol routine early fov small large whole wholebrain pdgm "
    "ucsf upenn iacs neuronav lava",
    "echoes": "dual multiecho e1 e2 e3 echo1 echo2 doubleecho doppelecho",
}
LEXICON = {"signplus": "given", "signminus": "plain"} | {
    word: group for group, words in _GROUPS.items() for word in words.split()
}
"""Group of each word; words are in lower case."""

for _prefix, _group in (("ce", "given"), ("c", "given"), ("gd", "given"), ("km", "given"), ("gad", "given")):
    LEXICON[f"{_prefix}t1"] = LEXICON[f"{_prefix}t1w"] = f"t1 {_group}"
for _suffix in ("c", "ce", "gd", "gad", "gado", "gadolinium", "km"):
    LEXICON[f"t1{_suffix}"] = LEXICON[f"t1w{_suffix}"] = "t1 given"
for _suffix in ("n", "nc"):
    LEXICON[f"t1{_suffix}"] = LEXICON[f"t1w{_suffix}"] = "t1 plain"

OTHER_END = re.compile("(prob|segs?|mask|(?<!grad)(?<!un)(?<!de)warp|pve|map|labels?)$")
"""Endings of words for derived images."""

KINDS = frozenset({"t1", "t2", "flair", "pd", "tirm", "mp2rage"})
OTHER_STEM = re.compile(
    "^(angiogra|perfus|diffus|locali|lokali|spe[ck]tro|subtra|segment|calibr|tractogr|suscept|suszept|parcell|scout|"
    "survey|b(50|[1-9][0-9]?(00|50))[a-z]?$)"
)
"""Beginnings of words for other images in many languages, and b-values."""

AGENT_STEM = re.compile(
    "gad|contrast|kontras|tehost|varjoain|enhanc|prohan|multihan|dotar|magnev|omnisc|clarisc|eluci|primov|eovist|"
    "injec|injek|injiz|iniett|inyec|iniez|^(gd|km)|(gd|km)$"
)
"""Stems of words for an agent in many languages; an unlisted word that contains one makes the text unclear."""


def without_accents(text: str) -> str:
    """Decompose a text (NFKD) and drop its accents."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
