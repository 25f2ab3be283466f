;; Never comes back from being instantiated.
;;; module
(func $first (loop $ever (br $ever)))
(start $first)
