"""Names of scans as people, scanners and archives give them, with what they show; None: nobody can tell."""

NAMES = {
    "T1w": """
        t1.nii.gz | T1W_3D_TFE | sub07_T1.nii | subject2_t1.nii.gz | t2study_T1w.nii | visit1_T1
        Timepoint_2_brain_t1n | t1_mprage_tra_p2_iso | MP-RAGE | t1_mpr_ns_sag_p2 | t1_se_tra | t1_tse_cor_512
        T1_FFE_ax | eT1W_TSE | SAG T1 FLAIR | T1FLAIR_tra | t1_tirm_tra_dark-fluid | OAx T1 FLAIR | Ax FSPGR 3D
        IR_FSPGR | Sag 3D BRAVO | T1 nativ | T1_native | T1 tra ohne KM | T1_okm | T1 vor Kontrastmittel
        T1 SE sans injection | T1 non injecte | T1 avant gado | T1 EG axial | T1 sin contraste
        T1 AX sin gadolinio | T1 senza mdc | T1 pre mdc | AX T1 W/O | T1_wo_contrast | T1 w/o gad
        T1-noncontrast | T1_NC | precontrast T1 | T1_pre | T1_C- | COR T1 -C | T1_preop | t1_post_op
        T1 postoperative | posterior_fossa_T1 | T1_post_surgery | T1_postRT | T1_post-treatment
        UCSF-PDGM-0123_T1 | BraTS-PED-00011-000-t1n | BraTS2021_00621_t1 | T1_to_MNI | T1_reg_T2 | t1_bet
        W07_T1 | sub-post_T1w | sub-01_ses-postop_acq-mprage_run-2_T1w.nii.gz | sub-9_desc-preproc_T1w
        sub-t2_T1w.nii | ReMIND_3DAXT1 | rec_T1_dis3d | T1_SE_AX_3mm
    """,
    "T1ce": """
        t1ce.nii.gz | T1c | t1Gd.nii | T1GD_unstripped | T1gad | patient1_T1C_bias | CT1.nii.gz | brats_t1c_002
        MPRAGE_GAD | mprage_sag_post | T1_post | T1 POST FS | post_T1 | T1 + C | AX T1 +C FS | T1_C+ | C+ T1
        T1+ | T1+Gd | Ax 3D T1 BRAVO+C | 3D T1 MPRAGE W GAD | T1 with contrast | contrast-enhanced T1
        T1 CE SPIR | ce-T1w | t1_ce | T1 mit KM | T1 KM | t1_tse_fs_km_cor | nach KM T1 | T1_nachKM | T1 n.KM
        t1_vibe_tra_KM | T1 nach Gadolinium | T1 avec gado | T1 post inj | T1 apres injection | T1 INJ
        T1 GADO AXIAL | T1 con contraste | T1 con gadolinio | T1 con mdc | T1 dopo mdc | T1 post mdc | T1 Dotarem
        T1_Gadovist_ax | T1SpgrPostGad | T1_preop_gad | Pre-surgery T1 post gad | T1 postcontrast | T1POSTCON
        3DAXT1POSTCONTRAST | T1_GD_resampled_to_FLAIR | THRIVE_CE | T1_FLAIR_GD | sub-3_ce-gadovist_T1w.nii.gz
        sub-3_acq-postgad_T1w | sub-1_acq-GD_T1w | t1_gado_n4
    """,
    "T2w": """
        t2.nii | T2W_TSE | t2_tse_tra_512 | patient1_t2 | t1study_T2w | Ax T2 FRFSE | AX T2 PROPELLER
        t2_blade_cor | t2_spc_sag_p2_iso | SAG CUBE T2 | T2W_DRIVE | T2_HASTE | T2 FS | BraTS-MET-00004-000-t2w
        T2 TSE SPAIR | sub-12_T2w.nii.gz | UPENN-GBM-00031_11_T2 | T2_reg_T1ce | ms_T2_axial | 2DAXT2BLADE
        T2 pondere | t2_post_op
    """,
    "FLAIR": """
        flair.nii.gz | FLAIR_SENSE | t2f.nii | T2FLAIR | t2_flair_tra | Ax T2 FLAIR FS | t2_tirm_tra_dark-fluid
        dark fluid | t2_space_dark-fluid_sag | t2_spc_da-fl_sag | SAG CUBE T2 FLAIR | 3D_Brain_VIEW_FLAIR
        FLAIR_longTR | brain_fl_ants | flair_to_t1ce | FLAIR_space-T1w | FLAIR_post | rFLAIR_reg_T1
        sub-1_FLAIR.nii | Flair3D | patient2_FLAIR
    """,
    "other": """
        T2_star | Ax T2* GRE | T2 EG | T2W_FFE | t2_fl2d_tra_hemo | SWI_images | t2_swi3d_tra | VEN_BOLD | eSWAN
        T1map | T2 map | t1_rho | PD | PD+T2 | T2_TSE_PD | DP_T2_axial | STIR cor | T2_STIR | DIR | T2_mask
        T1_seg | brain_mask | FLAIR_lesions | T1ce_roi | Segmentation | GlistrBoost_ManuallyCorrected | T1_wm
        ADC | ep2d_diff_trace | b1000 | DWI_T2 | DTI_FA | T1_subtraction | SUB_T1_CE | soustraction T1 | TOF_3D
        s3DI_MC_HR | MRA_COW | angio T1 | T1_MIP | MIP_cor | localizer | AAHead_Scout | survey | 3 Plane Loc
        perf_DSC | rCBV | ASL | bold_rest | T1_DIXON_W | mDIXON_T1_in | t1_vibe_dixon_opp | T1_phase
        mp2rage_INV1 | MP2RAGE_UNI | FIESTA | CISS_3D | gre_field_mapping | sub-01_part-phase_T1w | sub-01_UNIT1
        sub-1_T2starw | sub-1_inv-2_MP2RAGE | sub-1_PDw | sub-1_T1map | sub-4_label-lesion_mask.nii.gz
        T1T2ratio | biasfield_T1 | csf
    """,
    None: """
        brain | Patient2 | scan_1 | set1 | test2 | post1 | contrast | gad | MPR_cor_post | 3D_TFE | T1_T2
        T1_T2_FLAIR | T1 w/wo | AX T1 W AND WO | T1 with and without contrast | T1_pre_post | T1_C | t2_tirm_cor
        CUBE | GD_003_T1 | KM12_T1 | T12 | T1 +/- C | T1_kontrastsiz | tumour_space-t1
    """,
}


def listed():
    """List every name with what it shows."""
    for contrast, names in NAMES.items():
        lines = names.strip().splitlines()
        for name in " | ".join(line.strip() for line in lines).split(" | "):
            yield name, contrast
