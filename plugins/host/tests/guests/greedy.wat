;; Starts with 64 MiB.
;;; memory
1024
